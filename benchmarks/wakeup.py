"""What one report costs a driver, with ten devices and with ten thousand that are idle.

The database is a real SQLite file, and the leases are real. The executor only keeps what it is given: a session costs
nothing here. Each round leaves one report of one device and times the step that handles the report. The floor is a
driver of ten devices: what a step costs whatever the size of a fleet.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from benchmarks.figures import Figure
from orchestrator.domain.blob import Blob
from orchestrator.domain.conversation import Command, Report, SessionId, SessionReport, Step, StepBegan
from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.values import DevicePlan
from orchestrator.driving.driver import Driver, DriverTools, Intent
from orchestrator.execution.base import Launch, Listen
from orchestrator.reporting.live.progress import SilentDisplay
from orchestrator.store.store import open_store
from orchestrator.testing.event_logs import sample_header, sample_model, sample_sweep

FEW = 10
MANY = 10_000
ROUNDS = 300
WAKEUP_MS_MAX = 0.2


class _Idle:
    """Holds sessions that say nothing by themselves."""

    def __init__(self) -> None:
        self._begun: dict[str, tuple[SessionId, Listen]] = {}

    def launch(self, launches: Sequence[Launch], listen: Listen) -> None:
        self._begun.update({launch.session.device: (launch.session, listen) for launch in launches})

    def emit(self, report: Report) -> None:
        session, listen = self._begun[report.device]
        listen(SessionReport(session, report))

    def post(self, session: SessionId, command: Command) -> None:
        pass

    def end(self, sessions: Collection[SessionId], timeout_s: float = 10.0) -> None:
        pass

    def close(self, timeout_s: float = 10.0) -> None:
        pass


class _Unasked:
    """No device gets as far as a plan."""

    def plan(self, device: Device, facts: Facts) -> DevicePlan:
        raise NotImplementedError

    def keep(self, document: bytes) -> Blob:
        raise NotImplementedError


def measure() -> list[Figure]:
    """Time steps of a small and of a large driver; medians of the rounds."""
    few, many = _step_s(FEW), _step_s(MANY)
    return [
        Figure(f"floor: a wake-up with {FEW} devices", few * 1e3, "ms"),
        Figure(f"a wake-up with {MANY} idle devices", many * 1e3, "ms", WAKEUP_MS_MAX),
        Figure(f"{MANY} devices / {FEW} devices", many / few, "ratio"),
    ]


def _step_s(count: int) -> float:
    devices = [Device(f"board-{number:05}", TransportKind.SSH) for number in range(count)]
    sweep, model = sample_sweep(), sample_model()
    with (
        tempfile.TemporaryDirectory(prefix="benchfleet-wakeup-") as folder,
        open_store(str(Path(folder) / "benchfleet.db")) as store,
    ):
        store.runs.create_run(sample_header("run-1", sweep, model), model, devices)
        executor = _Idle()
        driver = Driver("run-1", Intent.RUN, DriverTools(store, executor, SilentDisplay(), _Unasked()))
        driver.begin(devices)
        spent = [_timed(driver, executor, devices[number % count]) for number in range(ROUNDS)]
        driver.close()
    return statistics.median(spent)


def _timed(driver: Driver, executor: _Idle, device: Device) -> float:
    executor.emit(StepBegan(device.name, Step.CONNECT))
    began = time.perf_counter()
    driver.step(0.0)
    return time.perf_counter() - began
