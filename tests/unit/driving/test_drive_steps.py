"""A driver is begun, stepped and closed by somebody else's thread, beside other drivers on the same executor."""

from __future__ import annotations

import queue
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import pytest

from orchestrator.domain.conversation import (
    Assignment,
    Close,
    Command,
    FactsReported,
    FollowEnded,
    Forget,
    PlanStarted,
    SessionEnded,
    SessionId,
    SessionReport,
    Step,
    StepBegan,
)
from orchestrator.domain.device import Device
from orchestrator.domain.errors import LinkLost
from orchestrator.domain.facts import Facts
from orchestrator.domain.recovery import Rescue, Rung
from orchestrator.domain.run import DeviceRunState
from orchestrator.driving.driver import Driver, DriverTools, Intent
from orchestrator.execution.base import Emit, Launch, Listen
from orchestrator.execution.threads import ThreadExecutor
from orchestrator.reporting.live.progress import SilentDisplay
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import FACTS, WORKER_SHA256, EventLog, Sampled, sample_header, sample_plan
from tests.unit.driving.recovering import BOTH
from tests.unit.driving.test_drive import HAT, MODEL, PI, RUN, SWEEP, Planner, ScriptedExecutor, obedient

STEP_S = 0.02
WAIT_S = 30.0


class WholeSession:
    """A device that runs whatever plan of whatever run it is assigned."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()

    def run(self, emit: Emit) -> None:
        name = self._device.name
        emit(FactsReported(name, Facts(FACTS), WORKER_SHA256))
        while not isinstance(command := self._commands.get(), Close | Forget):
            assert isinstance(command, Assignment)
            log = EventLog(command.run, sample_plan(self._device, SWEEP, MODEL), f"log-{command.run}").runner_started()
            for trial in sample_plan(self._device, SWEEP, MODEL).trials:
                log.started(trial.key).finished(trial.key, [Sampled("latency_ns", range(1000, 1010))])
            log.run_finished()
            emit(PlanStarted(name, command.run, log.log_id))
            emit(log.arrived())
            emit(FollowEnded(name, command.run, "finished", log.log_id, log.last_seq))
        emit(SessionEnded(name))

    def post(self, command: Command) -> None:
        self._commands.put(command)


@dataclass(frozen=True)
class WholeSessions:
    def __call__(self, device: Device, rescue: Rescue | None = None) -> WholeSession:
        return WholeSession(device)


class Counting(ThreadExecutor):
    """Knows how often it was closed, and which sessions were ended."""

    def __init__(self) -> None:
        super().__init__(WholeSessions())
        self.ended: list[SessionId] = []
        self.closed = 0

    def end(self, sessions: Collection[SessionId], timeout_s: float = 10.0) -> None:
        self.ended += sessions
        super().end(sessions, timeout_s)

    def close(self, timeout_s: float = 10.0) -> None:
        self.closed += 1
        super().close(timeout_s)


def driver(store: Store, executor: ScriptedExecutor | ThreadExecutor, run: str, *devices: Device) -> Driver:
    store.runs.create_run(sample_header(run, SWEEP, MODEL), MODEL, devices)
    return Driver(run, Intent.RUN, DriverTools(store, executor, SilentDisplay(), Planner()))


def stepped(*drivers: Driver) -> None:
    """Step drivers in turn until none goes on."""
    deadline = time.monotonic() + WAIT_S
    going_on = list(drivers)
    while going_on:
        assert time.monotonic() < deadline
        going_on = [one for one in going_on if one.step(STEP_S)]


def test_two_runs_are_driven_by_one_thread_on_one_executor(store: Store) -> None:
    executor = Counting()
    one, two = driver(store, executor, "run-1", PI), driver(store, executor, "run-2", HAT)
    one.begin([PI])
    two.begin([HAT])
    stepped(one, two)
    one.close()
    assert executor.closed == 0, "the other run may still need it"
    two.close()
    for run, name in (("run-1", "pi-03"), ("run-2", "pi-04")):
        assert store.runs.standings(run, [name])[name].state is DeviceRunState.COMPLETE
    assert store.leases.holdings(["pi-03", "pi-04"]) == {}
    executor.close()


def test_one_device_serves_one_run_after_the_other_without_hearing_of_the_first(store: Store) -> None:
    executor = Counting()
    for run in ("run-1", "run-2"):
        one = driver(store, executor, run, PI)
        one.begin([PI])
        stepped(one)
        one.close()
        assert store.runs.standings(run, ["pi-03"])["pi-03"].state is DeviceRunState.COMPLETE
        assert store.logs.offset(run, "pi-03").log_id == f"log-{run}"
    executor.close()


def test_a_step_with_nothing_to_do_ends_in_time_and_says_that_a_device_goes_on(store: Store) -> None:
    class Silent(ScriptedExecutor):
        def greet(self, device: Device, rescue: Rescue | None) -> None:
            pass

    one = driver(store, Silent({}), RUN, PI)
    one.begin([PI])
    began = time.monotonic()
    assert one.step(0.05)
    assert time.monotonic() - began < WAIT_S / 2
    one.close()
    assert store.leases.holdings(["pi-03"]) == {}
    one.close()


def test_a_driver_without_devices_has_nothing_to_do(store: Store) -> None:
    one = driver(store, ScriptedExecutor({}), RUN)
    one.begin([])
    assert not one.step()
    one.close()


@pytest.mark.parametrize(
    "late", [SessionEnded("pi-03", LinkLost("lost", device="pi-03")), StepBegan("pi-03", Step.FOLLOW, "late")]
)
def test_a_late_report_of_an_ended_session_is_not_heard(store: Store, late: SessionEnded | StepBegan) -> None:
    """The session of a rescue is at work by then: the first one's end must not be taken for its own."""

    class Shown(SilentDisplay):
        details: list[str]

        def __init__(self) -> None:
            self.details = []

        def step(self, device: str, step: str, detail: str) -> None:
            self.details.append(detail)

    class Late(ScriptedExecutor):
        first: tuple[SessionId, Listen] | None = None

        def launch(self, launches: Sequence[Launch], listen: Listen) -> None:
            self.first = self.first or (launches[0].session, listen)
            super().launch(launches, listen)

        def greet(self, device: Device, rescue: Rescue | None) -> None:
            if rescue is None:
                super().greet(device, rescue)
                return
            assert self.first is not None
            session, listen = self.first
            listen(SessionReport(session, late))
            self.emit(FactsReported("pi-03", Facts(FACTS), WORKER_SHA256))

    board = replace(PI, recovery=BOTH)
    lost = SessionEnded("pi-03", LinkLost("the link fell silent", device="pi-03"))
    display = Shown()
    store.runs.create_run(sample_header(RUN, SWEEP, MODEL), MODEL, [board])
    executor = Late({"pi-03": obedient(PI)}, {"pi-03": lost})
    Driver(RUN, Intent.RUN, DriverTools(store, executor, display, Planner())).drive([board])
    assert store.runs.standings(RUN, ["pi-03"])["pi-03"].state is DeviceRunState.COMPLETE
    assert "late" not in display.details
    assert [event.rung for event in store.recovery.recovery_events(RUN)] == [Rung.REBOOT]
