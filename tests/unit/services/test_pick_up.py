"""Picking a run up tells what is still to come, before the devices say anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from device_worker.protocol.vocabulary import RunOutcome
from orchestrator.domain.conversation import (
    Attachment,
    Cancel,
    Command,
    Forget,
    PlanStarted,
    Report,
    SessionEnded,
    SessionId,
)
from orchestrator.domain.errors import ConfigError, Unreachable, WorkerFailed
from orchestrator.domain.facts import Facts
from orchestrator.domain.inventory import Inventory
from orchestrator.domain.lease import Granted, LeaseRequest
from orchestrator.domain.run import DeviceRunState, RunRecord, RunState
from orchestrator.domain.run_details import RunDetails
from orchestrator.driving.driver import Driver, DriverTools, Intent
from orchestrator.driving.identity import ControllerIdentity
from orchestrator.reporting.live.progress import SilentDisplay
from orchestrator.services.runs.pick_up import pick_up
from orchestrator.services.runs.show import details_of
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    WORKER_SHA256,
    Sampled,
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
    Reply,
    ScriptedExecutor,
    drive,
    followed,
    log_of,
    whole_log,
)


class TotalsDisplay(SilentDisplay):
    """Remembers how many trials were announced."""

    def __init__(self) -> None:
        self.announced: list[tuple[str, int]] = []
        self.ends: list[tuple[str, str | None]] = []

    def device_ended(self, device: str, state: DeviceRunState, error: str | None, hint: str | None) -> None:
        self.ends.append((device, error))

    def planned(self, device: str, trials: int, excluded: int) -> None:
        self.announced.append((device, trials))


@pytest.mark.parametrize(("intent", "announced"), [(Intent.FOLLOW, 2), (Intent.RESUME, 2), (Intent.CANCEL, None)])
def test_the_rest_of_a_run_is_announced(store: Store, intent: Intent, announced: int | None) -> None:
    """One of three trials is in the database when the run is picked up."""
    preflight = sample_plan(PI, SWEEP, MODEL).trials[0].key
    begun = log_of(PI).started(preflight).finished(preflight, [Sampled("load_ns", [5])])
    drive(store, ScriptedExecutor({"pi-03": lambda command: [PlanStarted("pi-03", RUN, "log-1")]}), Intent.DETACH)
    store.logs.ingest([begun.arrived()])

    def reply(command: Command) -> Sequence[Report]:
        return followed(whole_log(PI), after=begun.last_seq)

    display = TotalsDisplay()
    tools = DriverTools(store, ScriptedExecutor({"pi-03": reply}), display, Planner())
    record = store.runs.find_run(RUN)
    assert record is not None
    outcome = pick_up(record, intent, Inventory({"pi-03": PI}), tools)

    assert outcome.missing == ()
    assert display.announced == ([] if announced is None else [("pi-03", announced)])


def test_only_selected_devices_are_picked_up_and_others_may_be_missing_from_the_inventory(store: Store) -> None:
    def detached(name: str) -> Callable[[Command], Sequence[Report]]:
        return lambda _: [PlanStarted(name, RUN, f"log-of-{name}")]

    begun = ScriptedExecutor({"pi-03": detached("pi-03"), "pi-04": detached("pi-04")})
    drive(store, begun, Intent.DETACH, devices=(PI, HAT))
    executor = ScriptedExecutor({"pi-03": lambda _: followed(whole_log(PI))})
    tools = DriverTools(store, executor, SilentDisplay(), Planner())
    record = store.runs.find_run(RUN)
    assert record is not None
    outcome = pick_up(record, Intent.RESUME, Inventory({"pi-03": PI}), tools, select="pi-03")
    states = {device.device: device.state for device in outcome.record.devices}
    assert states == {"pi-03": DeviceRunState.COMPLETE, "pi-04": DeviceRunState.RUNNING}


def test_a_selector_that_picks_no_device_of_the_run_is_refused(store: Store) -> None:
    drive(store, ScriptedExecutor({"pi-03": lambda _: followed(whole_log(PI))}))
    tools = DriverTools(store, ScriptedExecutor({}), SilentDisplay(), Planner())
    record = store.runs.find_run(RUN)
    assert record is not None
    with pytest.raises(ConfigError, match="--select 'pi-04' picks no device of the run"):
        pick_up(record, Intent.RESUME, Inventory({"pi-03": PI, "pi-04": HAT}), tools, select="pi-04")


def test_a_reservation_may_be_that_of_another_device_of_the_run_but_must_be_one(store: Store) -> None:
    lease = store.leases.request_leases([HAT], LeaseRequest("ann@ws1", "pid 1", None, "bisecting", 3600.0))["pi-04"]
    assert isinstance(lease, Granted)
    drive(store, ScriptedExecutor({"pi-03": lambda _: followed(whole_log(PI))}), devices=(PI, HAT))
    record = store.runs.find_run(RUN)
    assert record is not None

    def resume(reservation: int) -> RunDetails:
        identity = ControllerIdentity("bob@ws2", "pid 2", reservation=reservation)
        tools = DriverTools(store, ScriptedExecutor({}), SilentDisplay(), Planner(), identity)
        return pick_up(record, Intent.RESUME, Inventory({"pi-03": PI}), tools, select="pi-03")

    assert resume(lease.lease.id).record.header.run == RUN
    with pytest.raises(ConfigError, match="there is no reservation 99 of pi-03, pi-04"):
        resume(99)


class DiesBeforeForgetting(ScriptedExecutor):
    """The controller is killed once the whole log is stored, and before the device may forget it."""

    def post(self, session: SessionId, command: Command) -> None:
        if isinstance(command, Forget):
            raise KeyboardInterrupt
        super().post(session, command)


def complete_but_not_given_back(store: Store) -> RunRecord:
    """Return a complete run whose controller died holding the device; a killed one writes nothing any more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store.leases, "end_leases", lambda leases: None)
        with pytest.raises(KeyboardInterrupt):
            drive(store, DiesBeforeForgetting({"pi-03": lambda _: followed(whole_log(PI))}))
    record = store.runs.find_run(RUN)
    assert record is not None
    assert record.state is RunState.COMPLETE
    assert store.leases.unreleased(RUN) == {"pi-03"}
    return record


def test_a_complete_device_that_was_not_given_back_is_tidied_up_by_resume(store: Store) -> None:
    record = complete_but_not_given_back(store)
    executor = ScriptedExecutor({"pi-03": lambda _: followed(whole_log(PI))[1:]})
    tools = DriverTools(store, executor, TotalsDisplay(), Planner())
    assert pick_up(record, Intent.RESUME, Inventory({"pi-03": PI}), tools).exit_code == 0
    assert executor.commands("pi-03") == [Attachment, Forget]
    assert store.leases.unreleased(RUN) == frozenset()


def test_a_cancelled_device_that_was_not_given_back_is_tidied_up_by_cancel(store: Store) -> None:
    """Its killed controller would keep everybody else away until the lease expires."""
    log = log_of(PI).run_finished(RunOutcome.CANCELLED)
    drive(store, ScriptedExecutor({"pi-03": lambda _: [PlanStarted("pi-03", RUN, "log-1")]}), Intent.DETACH)
    reply: dict[str, Reply] = {"pi-03": lambda command: followed(log) if isinstance(command, Attachment) else []}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store.leases, "end_leases", lambda leases: None)
        with pytest.raises(KeyboardInterrupt):
            drive(store, DiesBeforeForgetting(reply), Intent.CANCEL)
    record = store.runs.find_run(RUN)
    assert record is not None
    assert record.state is RunState.CANCELLED
    assert store.leases.unreleased(RUN) == {"pi-03"}

    executor = ScriptedExecutor({"pi-03": lambda command: followed(log)[1:] if isinstance(command, Attachment) else []})
    tools = DriverTools(store, executor, TotalsDisplay(), Planner())
    outcome = pick_up(record, Intent.CANCEL, Inventory({"pi-03": PI}), tools)
    assert executor.commands("pi-03") == [Cancel, Attachment, Forget]
    assert [device.state for device in outcome.record.devices] == [DeviceRunState.CANCELLED]
    assert store.leases.unreleased(RUN) == frozenset()


def test_a_complete_device_that_cannot_be_reached_stays_complete(store: Store) -> None:
    record = complete_but_not_given_back(store)
    gone = SessionEnded("pi-03", Unreachable("refused", device="pi-03", step="connect"))
    tools = DriverTools(store, ScriptedExecutor({}, {"pi-03": gone}), TotalsDisplay(), Planner())
    outcome = pick_up(record, Intent.RESUME, Inventory({"pi-03": PI}), tools)
    assert outcome.exit_code == 0
    (device,) = outcome.record.devices
    assert (device.state, device.error) == (DeviceRunState.COMPLETE, None)


def test_a_device_that_is_just_being_set_to_work_is_left_to_that_controller_by_who_follows(store: Store) -> None:
    """To follow it would take it over, and cut off the upload of its plan."""
    store.runs.create_run(sample_header(RUN, SWEEP, MODEL), MODEL, [PI])
    snapshot = save_snapshot(store, PI, Facts(FACTS), STARTED_AT)
    save_plan(store, RUN, sample_plan(PI, SWEEP, MODEL), snapshot, WORKER_SHA256)
    bobs = store.leases.request_leases([PI], LeaseRequest("bob@ws2", "pid 200", RUN, None, 60.0))["pi-03"]
    assert isinstance(bobs, Granted)
    record = store.runs.find_run(RUN)
    assert record is not None
    display = TotalsDisplay()
    tools = DriverTools(store, ScriptedExecutor({}), display, Planner())
    outcome = pick_up(record, Intent.FOLLOW, Inventory({"pi-03": PI}), tools)
    assert [(device.state, device.error) for device in outcome.record.devices] == [(DeviceRunState.PLANNED, None)]
    assert outcome.exit_code == 3
    assert display.ends == [("pi-03", "pi-03: it has not begun; bob@ws2 (pid 200) is setting it to work")]
    assert store.leases.renew_leases({bobs.lease.id: 60.0}) == []

    store.leases.renew_leases({bobs.lease.id: -1.0})
    executor = ScriptedExecutor({"pi-03": lambda _: followed(whole_log(PI))})
    again = pick_up(record, Intent.FOLLOW, Inventory({"pi-03": PI}), replace(tools, executor=executor))
    assert again.exit_code == 0


def test_a_log_that_cannot_be_removed_is_told_and_the_device_stays_complete(store: Store) -> None:
    class Warned(SilentDisplay):
        def __init__(self) -> None:
            self.told: list[str] = []

        def warned(self, device: str, message: str, hint: str | None) -> None:
            self.told.append(f"{message} ({hint})")

    class ReadOnly(ScriptedExecutor):
        def post(self, session: SessionId, command: Command) -> None:
            if isinstance(command, Forget):
                failed = WorkerFailed("read-only file system", device=session.device, step="forget")
                self.emit(SessionEnded(session.device, failed))
            else:
                super().post(session, command)

    display = Warned()
    store.runs.create_run(sample_header(RUN, SWEEP, MODEL), MODEL, (PI,))
    tools = DriverTools(store, ReadOnly({"pi-03": lambda _: followed(whole_log(PI))}), display, Planner())
    Driver(RUN, Intent.RUN, tools).drive((PI,))
    assert details_of(store, RUN).exit_code == 0
    assert len(display.told) == 1
    assert display.told[0].startswith("forget: read-only file system (the run is complete")


def test_a_complete_device_that_the_inventory_lacks_by_now_is_no_hindrance(store: Store) -> None:
    record = complete_but_not_given_back(store)
    tools = DriverTools(store, ScriptedExecutor({}), TotalsDisplay(), Planner())
    assert pick_up(record, Intent.RESUME, Inventory({}), tools).exit_code == 0
