"""Whom the recovery ladder leaves alone: boards that may be well, or are somebody else's, or wanted no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from device_worker.protocol.vocabulary import LogState
from orchestrator.domain.conversation import (
    Assignment,
    Command,
    FactsReported,
    FollowEnded,
    PlanStarted,
    Report,
    RungClimbed,
    SessionEnded,
    Step,
    StepBegan,
    is_answer,
)
from orchestrator.domain.device import Device, Limits, TransportKind
from orchestrator.domain.errors import (
    DeviceDiskFull,
    DeviceError,
    GatewayLost,
    NoAnswer,
    NoPython,
    OrchestratorError,
    PowerSwitchFailed,
    RebootFailed,
    Unreachable,
    WorkerFailed,
)
from orchestrator.domain.facts import Facts
from orchestrator.domain.health import CLOCK_OFFSET_KEY
from orchestrator.domain.lease import Granted, LeaseRequest
from orchestrator.domain.recovery import Recovery, Rescue, Rung
from orchestrator.domain.run import DeviceRunState
from orchestrator.driving.driver import Driver, DriverTools, Intent
from orchestrator.driving.identity import ControllerIdentity
from orchestrator.reporting.live.progress import SilentDisplay
from orchestrator.services.runs.show import details_of
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import FACTS, WORKER_SHA256, sample_header
from tests.unit.driving.recovering import (
    BOTH,
    REFUSED,
    Dying,
    Lab,
    Rescuable,
    board,
    dark,
    events,
    two_boards,
)
from tests.unit.driving.test_drive import (
    MODEL,
    PI,
    RUN,
    SWEEP,
    Planner,
    Reply,
    ScriptedExecutor,
    drive,
    error,
    followed,
    log_of,
    obedient,
    state,
    whole_log,
)


def test_a_lab_in_which_nobody_answers_is_left_alone(store: Store) -> None:
    """It is this side's network: cutting the power of every board would end what they do by themselves."""
    executor = Lab({"pi-03": dark("pi-03"), "pi-04": dark("pi-04")})
    outcome = drive(store, executor, devices=two_boards(quarantine=True))
    assert outcome.exit_code == 4
    assert executor.rescued == []
    assert store.recovery.quarantines(["pi-03", "pi-04"]) == {}


def test_the_one_that_does_not_answer_is_cycled_if_another_does(store: Store) -> None:
    executor = Lab({"pi-03": dark("pi-03")})
    assert drive(store, executor, devices=two_boards()).exit_code == 0
    assert executor.rescued == [("pi-03", Rung.POWER_CYCLE)]


def test_what_becomes_of_the_others_is_waited_for(store: Store) -> None:
    class OneIsSlow(Lab):
        def greet(self, device: Device, rescue: Rescue | None) -> None:
            if rescue is not None or device.name == "pi-03":
                super().greet(device, rescue)

    boards = two_boards()
    store.runs.create_run(sample_header(RUN, SWEEP, MODEL), MODEL, boards)
    executor = OneIsSlow({"pi-03": SessionEnded("pi-03", REFUSED)})
    driver = Driver(RUN, Intent.RUN, DriverTools(store, executor, SilentDisplay(), Planner()))
    driver.begin(boards)
    for _ in range(3):
        driver.step(0.0)
    assert (executor.rescued, events(store)) == ([], [])
    executor.emit(StepBegan("pi-04", Step.FACTS))
    driver.step(0.0)
    assert executor.rescued == [("pi-03", Rung.POWER_CYCLE)]
    driver.close()


@pytest.mark.parametrize(
    ("failure", "rescues"),
    [
        (REFUSED, {}),
        (REFUSED, {Rung.POWER_CYCLE: PowerSwitchFailed("no such outlet", device="pi-03")}),
        (Unreachable("pi-03 is no known host name", device="pi-03", step="connect"), {}),
        (GatewayLost("the Ray gateway ended", device="pi-03"), {}),
    ],
)
def test_what_may_be_this_sides_fault_bars_no_device(
    store: Store, failure: DeviceError, rescues: dict[Rung, DeviceError | None]
) -> None:
    recovery = replace(BOTH if rescues else Recovery(), quarantine=True)
    executor = Rescuable(obedient(PI), failure, rescues)
    drive(store, executor, devices=(board(recovery),))
    assert executor.rescued == list(rescues)
    assert store.recovery.quarantines(["pi-03"]) == {}


def test_this_machine_is_no_witness_for_the_network(store: Store) -> None:
    """Two boards fall silent while a device of this machine goes on."""
    here = replace(PI, name="here", transport=TransportKind.LOCAL)
    executor = Lab({"pi-03": dark("pi-03"), "pi-04": dark("pi-04")}, here)
    outcome = drive(store, executor, devices=[*two_boards(quarantine=True), here])
    assert state(outcome, here) is DeviceRunState.COMPLETE
    assert executor.rescued == []
    assert store.recovery.quarantines(["pi-03", "pi-04"]) == {}


def test_the_only_board_beside_this_machine_is_cycled_as_the_only_one_of_a_run_is(store: Store) -> None:
    silent, here = two_boards()
    here = replace(here, transport=TransportKind.LOCAL, recovery=Recovery())
    executor = Lab({"pi-03": dark("pi-03")})
    assert drive(store, executor, devices=[silent, here]).exit_code == 0
    assert executor.rescued == [("pi-03", Rung.POWER_CYCLE)]


def test_it_is_so_once_this_machine_has_done_its_part(store: Store) -> None:
    silent, here = two_boards()
    here = replace(here, transport=TransportKind.LOCAL, recovery=Recovery())
    drive(store, Lab({"pi-03": dark("pi-03")}), devices=[replace(silent, recovery=Recovery()), here])
    executor = Lab({"pi-03": dark("pi-03")})
    assert drive(store, executor, Intent.RESUME, devices=[silent]).exit_code == 0
    assert executor.rescued == [("pi-03", Rung.POWER_CYCLE)]


def test_the_only_device_of_a_command_need_not_be_the_only_one_of_its_run(store: Store) -> None:
    both = [replace(one, recovery=Recovery()) for one in two_boards()]
    drive(store, Lab({"pi-03": dark("pi-03")}), devices=both)
    executor = Lab({"pi-03": dark("pi-03")})
    drive(store, executor, Intent.RESUME, devices=two_boards()[:1])
    assert executor.rescued == []


def test_a_device_is_kept_from_a_run_that_queued_for_it(store: Store) -> None:
    store.runs.create_run(sample_header(RUN, SWEEP, MODEL), MODEL, [PI])
    held = store.leases.request_leases([PI], LeaseRequest("bob@ws2", "pid 2", None, "mine", 60.0))["pi-03"]
    assert isinstance(held, Granted)
    reservation = held.lease.id

    class Repairer(SilentDisplay):
        def step(self, device: str, step: str, detail: str) -> None:
            if step == "wait":
                store.recovery.quarantine(PI, "its fan is broken", "bob@ws2")
                store.leases.end_leases([reservation])

    executor = ScriptedExecutor({"pi-03": obedient(PI)})
    tools = DriverTools(
        store, executor, Repairer(), Planner(), ControllerIdentity("ann@ws1", "pid 1", lease_s=0.3, waits=True)
    )
    Driver(RUN, Intent.RUN, tools).drive([PI])
    outcome = details_of(store, RUN)
    assert executor.posted == []
    assert (error(outcome, PI) or "").startswith("pi-03: in quarantine since")
    assert store.leases.holdings(["pi-03"]) == {}, "it is given back"


def test_a_runner_that_is_dead_is_not_running_after_a_rescue_that_failed(store: Store) -> None:
    refused = RebootFailed("a password is required", device="pi-03", step="recover")
    executor = Rescuable(Dying(99), None, {Rung.REBOOT: refused})
    recovery = Recovery(restarts_max=0, reboot=("sudo", "reboot"))
    outcome = drive(store, executor, devices=(board(recovery),))
    assert state(outcome, PI) is DeviceRunState.STOPPED
    assert store.leases.holdings(["pi-03"]) == {}


def test_a_runner_that_cannot_be_started_again_is_not_running(store: Store) -> None:
    class Full(Dying):
        def __call__(self, command: Command) -> Sequence[Report]:
            if isinstance(command, Assignment) and self._left < 99:
                return [SessionEnded("pi-03", DeviceDiskFull("no space is left", device="pi-03", step="start"))]
            return super().__call__(command)

    outcome = drive(store, Rescuable(Full(99), None, {}), devices=(board(Recovery()),))
    assert (state(outcome, PI), error(outcome, PI)) == (DeviceRunState.STOPPED, "pi-03: start: no space is left")
    assert events(store) == [("restart", False)]
    assert store.leases.holdings(["pi-03"]) == {}


def test_a_link_that_is_lost_and_found_within_a_restart_has_a_row_of_its_own(store: Store) -> None:
    class Full(Dying):
        def __call__(self, command: Command) -> Sequence[Report]:
            if isinstance(command, Assignment) and self._left < 99:
                found = RungClimbed("pi-03", Rung.RECONNECT, "pi-03: upload: silent", succeeded=True, took_s=2.0)
                return [found, SessionEnded("pi-03", WorkerFailed("the disk is full", device="pi-03", step="start"))]
            return super().__call__(command)

    drive(store, Rescuable(Full(99), None, {}), devices=(board(Recovery()),))
    assert events(store) == [("restart", False), ("reconnect", True)]
    found = store.recovery.recovery_events(RUN)[1]
    assert found.ended_at is not None
    assert (found.ended_at - found.began_at).total_seconds() >= 2.0


def test_a_spared_device_was_retried(store: Store) -> None:
    class Back(Rescuable):
        def greet(self, device: Device, rescue: Rescue | None) -> None:
            if rescue is None:
                super().greet(device, rescue)
                return
            assert rescue.if_silent
            self.emit(RungClimbed("pi-03", Rung.RETRY, "", succeeded=True))
            self.emit(FactsReported("pi-03", Facts(FACTS), WORKER_SHA256))

    assert drive(store, Back(obedient(PI), REFUSED, {}), devices=(board(BOTH),)).exit_code == 0
    assert events(store) == [("retry", True)]


def test_a_run_that_is_cancelled_while_its_device_is_cycled_stays_cancelled(store: Store) -> None:
    class Cancelled(Rescuable):
        def greet(self, device: Device, rescue: Rescue | None) -> None:
            if rescue is not None:
                store.runs.set_device_state(RUN, "pi-03", DeviceRunState.CANCELLED)
            super().greet(device, rescue)

    executor = Cancelled(obedient(PI), REFUSED, {Rung.POWER_CYCLE: None})
    outcome = drive(store, executor, devices=(board(BOTH),))
    assert state(outcome, PI) is DeviceRunState.CANCELLED
    assert Assignment not in executor.commands("pi-03")


def test_a_gateway_that_cannot_be_had_again_ends_the_rung_and_no_more(store: Store) -> None:
    class Gone(Rescuable):
        def greet(self, device: Device, rescue: Rescue | None) -> None:
            if rescue is not None:
                raise OrchestratorError("the gateway did not start")
            super().greet(device, rescue)

    outcome = drive(store, Gone(obedient(PI), REFUSED, {}), devices=(board(BOTH),))
    assert error(outcome, PI) == "pi-03: connect: refused"
    assert events(store) == [("power-cycle", False)]


def test_a_clock_that_is_not_set_yet_after_a_reboot_does_not_bar_the_device(store: Store) -> None:
    class Unset(Rescuable):
        def greet(self, device: Device, rescue: Rescue | None) -> None:
            if rescue is None:
                super().greet(device, rescue)
                return
            self.emit(RungClimbed("pi-03", rescue.rung, "", succeeded=True))
            facts = Facts({**FACTS, CLOCK_OFFSET_KEY: -400_000.0})
            self.emit(FactsReported("pi-03", facts, WORKER_SHA256))

    device = replace(board(BOTH), limits=Limits(clock_offset_s_max=60.0))
    assert drive(store, Unset(obedient(PI), REFUSED, {}), devices=(device,)).exit_code == 0


def fails_after(reports: Sequence[Report], failure: DeviceError = REFUSED) -> Reply:
    return lambda command: [*reports, SessionEnded("pi-03", failure)] if isinstance(command, Assignment) else []


def test_a_device_that_is_complete_is_not_touched_for_what_may_be_left_there(store: Store) -> None:
    """The link is lost after the last record, and before the log is known to have ended."""
    everything: list[Report] = [PlanStarted("pi-03", RUN, "log-1"), *followed(whole_log(PI))[:1]]
    executor = Rescuable(fails_after(everything), None, {})
    outcome = drive(store, executor, devices=(board(replace(BOTH, quarantine=True)),))
    assert (state(outcome, PI), executor.rescued) == (DeviceRunState.COMPLETE, [])
    assert store.recovery.quarantines(["pi-03"]) == {}


def test_a_runner_that_was_started_after_a_rescue_goes_on_by_itself(store: Store) -> None:
    """Hours after its power was cycled, the network is out: the board measures on, and keeps its lease."""
    started: list[Report] = [PlanStarted("pi-03", RUN, "log-1"), log_of(PI).arrived(1)]
    executor = Rescuable(fails_after(started), REFUSED, {Rung.POWER_CYCLE: None})
    outcome = drive(store, executor, devices=(board(replace(BOTH, quarantine=True)),))
    assert state(outcome, PI) is DeviceRunState.RUNNING
    assert store.recovery.quarantines(["pi-03"]) == {}
    assert list(store.leases.holdings(["pi-03"])) == ["pi-03"]


def test_a_link_that_is_lost_while_a_runner_is_started_again_may_have_left_it_running(store: Store) -> None:
    class Lost(Dying):
        def __call__(self, command: Command) -> Sequence[Report]:
            if isinstance(command, Assignment) and self._left < 99:
                return [SessionEnded("pi-03", NoAnswer("timed out", device="pi-03", step="start"))]
            return super().__call__(command)

    outcome = drive(store, Rescuable(Lost(99), None, {}), devices=(board(Recovery()),))
    assert state(outcome, PI) is DeviceRunState.RUNNING
    assert list(store.leases.holdings(["pi-03"])) == ["pi-03"]


def test_a_log_that_is_gone_is_no_reason_to_reboot(store: Store) -> None:
    def reply(command: Command) -> Sequence[Report]:
        started = [PlanStarted("pi-03", RUN, "log-1")] if isinstance(command, Assignment) else []
        return [*started, FollowEnded("pi-03", RUN, LogState.UNKNOWN, None, None)]

    executor = Rescuable(reply, None, {})
    outcome = drive(store, executor, devices=(board(replace(BOTH, quarantine=True)),))
    assert (state(outcome, PI), executor.rescued) == (DeviceRunState.STOPPED, [])
    assert store.recovery.quarantines(["pi-03"]) == {}


def test_runners_that_keep_dying_bar_no_device(store: Store) -> None:
    """A trial may bring that about, and the device answers all the while."""
    executor = Rescuable(Dying(99), None, {Rung.REBOOT: None, Rung.POWER_CYCLE: None})
    outcome = drive(store, executor, devices=(board(replace(BOTH, restarts_max=0, quarantine=True)),))
    assert state(outcome, PI) is DeviceRunState.STOPPED
    assert executor.rescued == [Rung.REBOOT, Rung.POWER_CYCLE]
    assert store.recovery.quarantines(["pi-03"]) == {}


def test_a_failure_of_this_side_is_no_witness_for_a_device() -> None:
    assert not is_answer(SessionEnded("pi-03", PowerSwitchFailed("the PDU does not answer")))
    assert not is_answer(SessionEnded("pi-03", WorkerFailed("unexpected OSError: too many open files")))
    assert is_answer(SessionEnded("pi-03", NoPython("python3: not found")))
