"""The local transport hands the controller's secrets to nobody."""

import pytest

from orchestrator.domain.device import Device, TransportKind
from orchestrator.transport.local import LocalConnector


def test_settings_of_the_controller_do_not_reach_programs_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHFLEET_DB", "postgresql://lab:secret@db/benchfleet")
    monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", "/recorded")
    transport = LocalConnector().connect(Device("local", TransportKind.LOCAL))
    try:
        printed = transport.run(["env"]).stdout.decode()
    finally:
        transport.close()
    assert "secret" not in printed
    assert "BENCHFLEET_SYSFS_ROOT=/recorded" in printed
