"""Whose time runs while a lost device queues for its turn: real links and rescues behind a real gate."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.blobs.worker import loader_source, worker_archive
from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import DeviceError, LinkLost, NoAnswer, Unreachable
from orchestrator.domain.recovery import PowerCycle, Recovery, Rescue, Rung
from orchestrator.power.command_switch import CommandSwitch
from orchestrator.session import rescue
from orchestrator.session.link import Link, LinkPolicy
from orchestrator.session.rescue import Rescuer
from orchestrator.session.step_reporter import StepReporter
from orchestrator.session.worker_client import WorkerClient, WorkerProgram
from orchestrator.transport.admission import Gate
from orchestrator.transport.base import Asker, Transport
from orchestrator.transport.local import LocalConnector
from tests.chaos.board import Board

pytestmark = pytest.mark.system  # slow, and no part of the quick loop

PATIENCE_S = 0.5
BEYOND_S = 0.7


def spend(seconds: float) -> None:
    """Return once so much time has passed: time is what these tests count."""
    threading.Event().wait(seconds)


@dataclass
class CrowdedConnector:
    """Refuses one connection after a while, and opens the others. `queues`: the device waits for another's turn."""

    gate: Gate
    refuses: int
    queues: bool
    made: int = 0

    def connect(self, device: Device) -> Transport:
        self.made += 1
        if self.made != self.refuses:
            return LocalConnector().connect(device)
        if not self.queues:
            with self.gate.turn(device.name, "gateway"):
                spend(BEYOND_S)
                raise Unreachable("nobody answers")
        other = self.gate.enter("pi-99", "gateway")
        other.opened()
        leaving = threading.Timer(BEYOND_S, self.gate.leave, (other, True))
        leaving.start()
        try:
            with self.gate.turn(device.name, "gateway"):
                raise Unreachable("nobody answers")
        finally:
            leaving.join()


def lose_a_link(folder: Path, gate: Gate, connector: CrowdedConnector) -> None:
    """Lose the first connection of a link, and do the action over another."""
    recovery = Recovery(reconnect_s_max=PATIENCE_S)
    device = Device("pi-03", TransportKind.LOCAL, state_dir=str(folder), recovery=recovery)
    archive, sha256 = worker_archive()
    reporter = StepReporter(device.name)
    reporter.emit = lambda report: None
    link = Link(device, connector, WorkerProgram(archive, sha256, loader_source()), LinkPolicy(), reporter, gate=gate)

    def act(client: WorkerClient) -> None:
        if connector.made == 1:
            raise LinkLost("the link was cut")

    try:
        with gate.asked_by(link.asker):
            link.use(act)
    finally:
        link.disconnect()


def cycle_power(folder: Path, gate: Gate, connector: CrowdedConnector) -> None:
    """Cycle the power of a board, whose first look after the cycle comes to nothing."""
    board = Board(folder)
    script = f"open({str(folder / 'boot_id')!r}, 'w').write('another boot\\n')"
    cycle = PowerCycle(on=(str(board.python), "-c", script), off_s=0.0)
    recovery = Recovery(power_cycle=cycle, boot_s_max=PATIENCE_S)
    device = Device("pi-03", TransportKind.LOCAL, python=str(board.python), recovery=recovery)
    asker = Asker()
    with gate.asked_by(asker):
        Rescuer(device, connector, CommandSwitch(), threading.Event(), asker).rescue(Rescue(Rung.POWER_CYCLE, False))


PATIENT: list[tuple[Callable[[Path, Gate, CrowdedConnector], None], type[DeviceError]]] = [
    (lose_a_link, Unreachable),
    (cycle_power, NoAnswer),
]


@pytest.mark.parametrize(("bring_back", "_error"), PATIENT)
def test_the_queue_takes_nothing_of_a_devices_time(
    bring_back: Callable[[Path, Gate, CrowdedConnector], None],
    _error: type[DeviceError],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rescue, "PAUSE_S", 0.01)
    gate = Gate(1)
    connector = CrowdedConnector(gate, refuses=2, queues=True)
    bring_back(tmp_path / "board", gate, connector)
    assert connector.made >= 3


@pytest.mark.parametrize(("bring_back", "error"), PATIENT)
def test_a_silent_device_uses_its_time_up(
    bring_back: Callable[[Path, Gate, CrowdedConnector], None],
    error: type[DeviceError],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rescue, "PAUSE_S", 0.01)
    gate = Gate(1)
    connector = CrowdedConnector(gate, refuses=2, queues=False)
    with pytest.raises(error):
        bring_back(tmp_path / "board", gate, connector)
    assert connector.made == 2
