"""Sweeps that ask for devices by need, with the real commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.domain.errors import ExitCode
from tests.lab import Lab

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Three devices that would do on two sites, and one that would not."""
    lab = Lab(tmp_path / "lab")
    for name, site in (("pi-1", "berlin"), ("pi-2", "berlin"), ("pi-3", "paris"), ("other", "rome")):
        kind = "rpi" if name.startswith("pi") else "pc"
        lab.add_local(name, exclusive=False, tags={"class": kind, "site": site})
    need = {"select": "class=rpi", "count": 2, "spread": True}
    lab.write_exec_sweep(trials=1, devices=need)
    return lab


def chosen(lab: Lab) -> list[set[str]]:
    """Return the devices of each run, the oldest first."""
    rows = lab.rows(
        "SELECT r.id, d.name FROM run r JOIN run_device p ON p.run_id = r.id JOIN device d ON d.id = p.device_id"
        " ORDER BY r.started_at, r.id"
    )
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row["id"], set()).add(row["name"])
    return list(found.values())


def test_a_run_has_as_many_devices_as_it_needs_spread_over_sites_and_taking_turns(lab: Lab) -> None:
    plan = json.loads(lab.run("plan", "sweep.yaml", "--json").stdout)
    assert {one["device"] for one in plan["plans"]} == {"pi-1", "pi-3"}
    for _ in range(2):
        done = lab.run("run", "sweep.yaml")
        assert done.returncode == ExitCode.FINE, done.stderr
    assert chosen(lab) == [{"pi-1", "pi-3"}, {"pi-2", "pi-3"}], "the one of Berlin that was used less recently"
    settings = json.loads(lab.rows("SELECT settings FROM run LIMIT 1")[0]["settings"])
    assert settings["devices"] == {"select": "class=rpi", "count": 2, "spread": "site"}
    extended = lab.run("runs", "resume", "last", "--trials", "+1")
    assert extended.returncode == ExitCode.FINE, extended.stderr
    assert chosen(lab)[-1] == {"pi-2", "pi-3"}, "a resume keeps to the devices of the run"
    named = lab.run("run", "sweep.yaml", "--select", "other")
    assert named.returncode == ExitCode.FINE, named.stderr
    assert chosen(lab)[-1] == {"other"}, "names come before a need"


def test_reserved_and_quarantined_devices_are_passed_over_and_too_few_are_told(lab: Lab) -> None:
    lab.run("devices", "probe")
    assert lab.run("devices", "quarantine", "pi-1", "--reason", "its fan is broken").returncode == ExitCode.FINE
    plan = json.loads(lab.run("plan", "sweep.yaml", "--json").stdout)
    assert {one["device"] for one in plan["plans"]} == {"pi-2", "pi-3"}
    refused = lab.run("run", "sweep.yaml", "--set", "devices.count=3")
    assert refused.returncode == ExitCode.USAGE
    assert refused.stderr.startswith(
        "error: the sweep needs 3 devices of 'class=rpi', and the inventory has 3, 1 in quarantine\n"
    )


def test_a_daemon_chooses_for_each_submission(lab: Lab) -> None:
    for name in ("one", "two"):
        done = lab.run("submit", "sweep.yaml", "--name", name, "--set", "devices.count=1")
        assert done.returncode == ExitCode.FINE, done.stderr
    too_many = lab.run("submit", "sweep.yaml", "--name", "many", "--set", "devices.count=9")
    assert too_many.returncode == ExitCode.FINE
    drained = lab.run("daemon", "--drain", timeout_s=200)
    assert drained.returncode == ExitCode.FINE, drained.stderr
    assert len(chosen(lab)) == 2
    assert all(len(one) == 1 for one in chosen(lab))
    assert chosen(lab)[0] != chosen(lab)[1]
    (left,) = json.loads(lab.run("queue", "list", "--json").stdout)["entries"]
    assert (left["submission"]["name"], left["submission"]["device_s"]) == ("many", None)
