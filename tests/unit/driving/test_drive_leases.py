"""The driver takes leases before it connects, keeps them while it lives, and gives way where it must."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from device_worker.protocol.vocabulary import LogState
from orchestrator.domain.conversation import (
    Assignment,
    Attachment,
    Command,
    FactsReported,
    FollowEnded,
    PlanStarted,
    Report,
    SessionEnded,
)
from orchestrator.domain.device import Device
from orchestrator.domain.errors import LinkLost, StaleLease
from orchestrator.domain.facts import Facts
from orchestrator.domain.lease import Granted, Lease, LeaseRequest
from orchestrator.domain.run import DeviceRunState, TrialChange
from orchestrator.domain.run_details import RunDetails
from orchestrator.driving.driver import Driver, DriverTools, Intent
from orchestrator.driving.identity import ControllerIdentity
from orchestrator.reporting.live.progress import SilentDisplay
from orchestrator.services.runs.show import details_of
from orchestrator.store.schema import tables
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    WORKER_SHA256,
    sample_header,
    sample_plan,
    save_plan,
    save_snapshot,
)
from tests.unit.driving.test_drive import (
    HAT,
    MODEL,
    PI,
    RUN,
    SWEEP,
    Planner,
    ScriptedExecutor,
    error,
    followed,
    log_of,
    obedient,
    state,
    whole_log,
)

ANN = ControllerIdentity("ann@ws1", "pid 100", lease_s=0.6)
BOB = LeaseRequest("bob@ws2", "pid 200", "run-2", None, 60.0)


@pytest.fixture
def store(store: Store) -> Store:
    for run in (RUN, "run-2"):
        store.runs.create_run(sample_header(run, SWEEP, MODEL), MODEL, [PI, HAT])
    return store


class Listener(SilentDisplay):
    """Hears the steps, and may do something about one."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str, str]] = []
        self.ends: list[str | None] = []

    def step(self, device: str, step: str, detail: str) -> None:
        self.steps.append((device, step, detail))

    def device_ended(self, device: str, state: DeviceRunState, error: str | None, hint: str | None) -> None:
        self.ends.append(error)


def drive(
    store: Store,
    executor: ScriptedExecutor,
    intent: Intent = Intent.RUN,
    *,
    devices: Sequence[Device] = (PI,),
    identity: ControllerIdentity = ANN,
    display: SilentDisplay | None = None,
) -> RunDetails:
    tools = DriverTools(store, executor, display or SilentDisplay(), Planner(), identity)
    taken_over = Driver(RUN, intent, tools).drive(devices)
    return details_of(store, RUN, taken_over)


def held_by(store: Store, claim: LeaseRequest, device: Device = PI) -> Lease:
    answer = store.leases.request_leases([device], claim)[device.name]
    assert isinstance(answer, Granted)
    return answer.lease


def open_rows(store: Store) -> list[str]:
    with store.database.read() as connection:
        return list(
            connection.execute(select(tables.lease.c.holder).where(tables.lease.c.ended_at.is_(None))).scalars()
        )


def test_a_device_of_somebody_else_is_a_value_and_is_never_connected_to(store: Store) -> None:
    held_by(store, BOB)
    executor = ScriptedExecutor({"pi-04": obedient(HAT)})
    outcome = drive(store, executor, devices=(PI, HAT))
    assert (state(outcome, PI), state(outcome, HAT)) == (DeviceRunState.FAILED, DeviceRunState.COMPLETE)
    assert (error(outcome, PI) or "").startswith("pi-03: in use by run run-2 of bob@ws2 since ")
    assert outcome.exit_code == 3
    assert executor.commands("pi-03") == []
    assert open_rows(store) == ["bob@ws2"]


@pytest.mark.parametrize("intent", [Intent.RUN, Intent.RESUME])
def test_a_run_that_a_reservation_keeps_out_is_told_every_way_round_it(store: Store, intent: Intent) -> None:
    held_by(store, replace(BOB, run=None, reason="bisecting"))
    drive(store, ScriptedExecutor({}), intent)
    (hint,) = [device.hint for device in details_of(store, RUN).record.devices if device.device == "pi-03"]
    words = ("--wait queues", "bob@ws2 type benchfleet devices release pi-03", "--reservation 1")
    assert [word for word in words if word not in (hint or "")] == []


def test_a_plan_is_started_under_the_lease(store: Store) -> None:
    executor = ScriptedExecutor({"pi-03": obedient(PI)})
    drive(store, executor)
    (assignment,) = [command for _, command in executor.posted if isinstance(command, Assignment)]
    assert assignment.lease is not None
    assert (assignment.lease.database, assignment.lease.token) == (store.leases.database_id(), 1)
    assert assignment.lease.holder == "ann@ws1"
    assert (assignment.lease.estimate_s or 0) > 0
    assert open_rows(store) == []


def test_whoever_waits_is_told_its_place_and_gets_its_turn(store: Store) -> None:
    bobs = held_by(store, BOB)

    class Ender(Listener):
        def step(self, device: str, step: str, detail: str) -> None:
            super().step(device, step, detail)
            if step == "wait":
                store.leases.end_leases([bobs.id])

    display = Ender()
    executor = ScriptedExecutor({"pi-03": obedient(PI), "pi-04": obedient(HAT)})
    outcome = drive(store, executor, devices=(PI, HAT), identity=replace(ANN, waits=True), display=display)
    assert outcome.exit_code == 0
    (wait,) = {detail for device, step, detail in display.steps if (device, step) == ("pi-03", "wait")}
    assert wait.startswith("place 1 in the queue: in use by run run-2 of bob@ws2 since ")
    assert open_rows(store) == []


def test_what_is_still_to_be_written_after_a_take_over_is_refused(store: Store) -> None:
    def reply(command: Command) -> Sequence[Report]:
        if isinstance(command, Assignment):
            held_by(store, replace(BOB, run=RUN))
        return [PlanStarted("pi-03", RUN, "log-1"), *followed(whole_log(PI))]

    display = Listener()
    outcome = drive(store, ScriptedExecutor({"pi-03": reply}), display=display)
    assert outcome.taken_over == {"pi-03"}
    assert outcome.exit_code == 3
    assert store.logs.offset(RUN, "pi-03").last_seq == 0
    assert (display.ends[0] or "").startswith(f"pi-03: run {RUN} was taken over by bob@ws2 (pid 200) at ")
    assert open_rows(store) == ["bob@ws2"]


def test_a_lease_that_is_lost_is_noticed_while_the_device_is_silent(store: Store) -> None:
    """No report comes any more: the renewal finds out."""

    def reply(command: Command) -> Sequence[Report]:
        held_by(store, replace(BOB, run=RUN))
        return []

    outcome = drive(store, ScriptedExecutor({"pi-03": reply}))
    assert outcome.taken_over == {"pi-03"}


def test_whoever_resumes_is_told_whose_lease_is_taken_over(store: Store) -> None:
    drive(store, ScriptedExecutor({"pi-03": lambda command: [PlanStarted("pi-03", RUN, "log-1")]}), Intent.DETACH)
    display = Listener()
    log = whole_log(PI)
    outcome = drive(
        store,
        ScriptedExecutor({"pi-03": lambda command: followed(log)}),
        Intent.RESUME,
        identity=replace(ANN, holder="cy@ws3"),
        display=display,
    )
    assert state(outcome, PI) is DeviceRunState.COMPLETE
    assert ("pi-03", "lease", "taken over from ann@ws1 (pid 100)") in display.steps
    assert open_rows(store) == []


def test_a_detached_run_keeps_its_lease_for_as_long_as_its_plan_may_take(store: Store) -> None:
    drive(store, ScriptedExecutor({"pi-03": lambda command: [PlanStarted("pi-03", RUN, "log-1")]}), Intent.DETACH)
    (lease,) = store.leases.holdings(["pi-03"])["pi-03"].held
    assert lease.granted_at is not None
    plan = sample_plan(PI, SWEEP, MODEL)
    slow_model_s = len(plan.trials) * 2 * SWEEP.measure.seconds_max
    assert lease.expires_at - lease.granted_at > timedelta(seconds=slow_model_s)


def test_another_name_of_a_machine_does_not_wait_for_a_device_that_was_left_to_itself(store: Store) -> None:
    """The link of the first name is lost for good: its plan goes on, and nobody hears of the end."""
    facts = Facts({**FACTS, "boot_id": "of both"})
    for device in (PI, HAT):
        save_snapshot(store, device, facts, STARTED_AT)

    def reply(command: Command) -> Sequence[Report]:
        assert isinstance(command, Assignment)
        running = log_of(PI).started(sample_plan(PI, SWEEP, MODEL).trials[0].key)
        return [PlanStarted("pi-03", RUN, "log-1"), running.arrived(1), SessionEnded("pi-03", LinkLost("reset"))]

    executor = ScriptedExecutor({"pi-03": reply}, {"pi-03": FactsReported("pi-03", facts, WORKER_SHA256)})
    outcome = drive(store, executor, devices=(PI, HAT))
    assert state(outcome, PI) is DeviceRunState.RUNNING
    assert (error(outcome, HAT) or "").startswith("pi-04: the same machine as pi-03, which is in use by run run-1")
    assert executor.commands("pi-04") == []
    assert len(open_rows(store)) == 1


def test_a_device_that_runs_failed_trials_again_keeps_its_lease_for_them(store: Store) -> None:
    """Whoever resumes with --retry-failed may leave by Ctrl-C: both failed trials are what the device is busy with."""
    first, second, third = (trial.key for trial in sample_plan(PI, SWEEP, MODEL).trials)
    log = log_of(PI).started(first).finished(first).started(second).failed(second, "timeout")
    log.started(third).failed(third, "timeout").run_finished()
    drive(store, ScriptedExecutor({"pi-03": lambda command: [PlanStarted("pi-03", RUN, "log-1"), *followed(log)]}))

    def reply(command: Command) -> Sequence[Report]:
        if isinstance(command, Attachment):
            return [FollowEnded("pi-03", RUN, LogState.FINISHED, "log-1", log.last_seq)]
        if isinstance(command, Assignment):
            return [PlanStarted("pi-03", RUN, "log-2"), log_of(PI, "log-2").started(second).arrived(1)]
        return []

    class Leaver(SilentDisplay):
        def changed(self, change: TrialChange) -> None:
            raise KeyboardInterrupt

    tools = DriverTools(store, ScriptedExecutor({"pi-03": reply}), Leaver(), Planner(), ANN)
    with pytest.raises(KeyboardInterrupt):
        Driver(RUN, Intent.RESUME, tools, retry_failed=True).drive([PI])
    (lease,) = store.leases.holdings(["pi-03"])["pi-03"].held
    assert lease.granted_at is not None
    assert lease.expires_at - lease.granted_at > timedelta(seconds=2 * 2 * SWEEP.measure.seconds_max)


def test_an_interrupted_driver_gives_back_what_it_has_and_what_it_waits_for(store: Store) -> None:
    def reply(command: Command) -> Sequence[Report]:
        raise KeyboardInterrupt

    held_by(store, BOB, HAT)
    with pytest.raises(KeyboardInterrupt):
        drive(store, ScriptedExecutor({"pi-03": reply}), identity=replace(ANN, waits=True), devices=(PI, HAT))
    assert open_rows(store) == ["bob@ws2"]


def test_a_run_is_collected_while_somebody_else_has_the_device(store: Store) -> None:
    drive(store, ScriptedExecutor({"pi-03": lambda command: [PlanStarted("pi-03", RUN, "log-1")]}), Intent.DETACH)
    (lease,) = store.leases.holdings(["pi-03"])["pi-03"].held
    store.leases.renew_leases({lease.id: -1.0})
    held_by(store, BOB)
    log = whole_log(PI)
    executor = ScriptedExecutor({"pi-03": lambda command: followed(log)})
    assert state(drive(store, executor, Intent.FOLLOW), PI) is DeviceRunState.COMPLETE
    assert executor.commands("pi-03")[0] is Attachment
    assert open_rows(store) == ["bob@ws2"]


def save_a_plan(store: Store) -> None:
    snapshot = save_snapshot(store, PI, Facts(FACTS), STARTED_AT)
    save_plan(store, RUN, sample_plan(PI, SWEEP, MODEL), snapshot, WORKER_SHA256)


def test_a_device_that_has_not_begun_is_left_as_it_is_by_who_follows(store: Store) -> None:
    """Its plan is recorded, and on its way: no log of it was ever there to be lost."""
    save_a_plan(store)
    unknown = FollowEnded("pi-03", RUN, LogState.UNKNOWN, None, None)
    outcome = drive(store, ScriptedExecutor({"pi-03": lambda command: [unknown]}), Intent.FOLLOW)
    assert state(outcome, PI) is DeviceRunState.PLANNED
    assert error(outcome, PI) == "the device has not begun"
    assert open_rows(store) == []


@pytest.mark.parametrize("meanwhile", [DeviceRunState.CANCELLED, DeviceRunState.COMPLETE])
def test_a_run_that_was_ended_elsewhere_does_not_begin_when_its_turn_comes(
    store: Store, meanwhile: DeviceRunState
) -> None:
    bobs = held_by(store, BOB)

    class Ender(Listener):
        def step(self, device: str, step: str, detail: str) -> None:
            super().step(device, step, detail)
            if step == "wait":
                store.runs.set_device_state(RUN, "pi-03", meanwhile)
                store.leases.end_leases([bobs.id])

    executor = ScriptedExecutor({"pi-03": obedient(PI)})
    display = Ender()
    outcome = drive(store, executor, identity=replace(ANN, waits=True), display=display)
    assert executor.commands("pi-03") == []
    assert state(outcome, PI) is meanwhile
    assert display.ends == [f"pi-03: the run became {meanwhile.value} elsewhere, while this command queued for it"]
    assert open_rows(store) == []


def test_a_run_that_was_cancelled_before_it_is_resumed_gets_its_turn(store: Store) -> None:
    save_a_plan(store)
    store.runs.set_device_state(RUN, "pi-03", DeviceRunState.CANCELLED)
    bobs = held_by(store, BOB)

    class Ender(Listener):
        def step(self, device: str, step: str, detail: str) -> None:
            if step == "wait":
                store.leases.end_leases([bobs.id])

    log = whole_log(PI)
    executor = ScriptedExecutor({"pi-03": lambda command: followed(log)})
    outcome = drive(store, executor, Intent.RESUME, identity=replace(ANN, waits=True), display=Ender())
    assert state(outcome, PI) is DeviceRunState.COMPLETE


def test_a_device_that_knows_a_newer_lease_fails_with_its_reason(store: Store) -> None:
    stale = SessionEnded("pi-03", StaleLease("not the newest", "who has it?", device="pi-03", step="start"))
    outcome = drive(store, ScriptedExecutor({"pi-03": lambda command: [stale]}))
    assert state(outcome, PI) is DeviceRunState.FAILED
    assert error(outcome, PI) == "pi-03: start: not the newest"
