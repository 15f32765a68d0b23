"""The recovery ladder: what is tried for a device that fails, in which order, and what is on record of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from device_worker.protocol.vocabulary import RunState as LogState
from orchestrator.domain.conversation import (
    Assignment,
    Attachment,
    Command,
    FactsReported,
    FollowEnded,
    Report,
    RungClimbed,
    RunnerStarted,
    SessionEnded,
)
from orchestrator.domain.device import Device, Limits, TransportKind
from orchestrator.domain.errors import (
    AuthenticationFailed,
    DeviceDiskFull,
    DeviceError,
    GatewayLost,
    LinkLost,
    NoAnswer,
    OrchestratorError,
    PowerSwitchFailed,
    RebootFailed,
    Unreachable,
    WorkerFailed,
)
from orchestrator.domain.facts import Facts
from orchestrator.domain.health import CLOCK_OFFSET_KEY
from orchestrator.domain.lease import Claim, Granted
from orchestrator.domain.recovery import PowerCycle, Recovery, Rescue, Rung, next_rescue
from orchestrator.domain.run import DeviceRunState
from orchestrator.execution.base import Emit
from orchestrator.reporting.progress import SilentDisplay
from orchestrator.services.device_leases import DeviceLeases
from orchestrator.services.drive import Driver, DriverParts, Intent
from orchestrator.services.driver_parts import Part
from orchestrator.services.ladder import Help, Ladder
from orchestrator.services.run import RunOutcome, outcome_of
from orchestrator.services.tenant import Tenant
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import FACTS, WORKER_SHA256, sample_header
from tests.unit.services.test_drive import (
    HAT,
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

BOTH = Recovery(reboot=("sudo", "reboot"), power_cycle=PowerCycle(on=("pdu", "on"), off=("pdu", "off")))
REFUSED = NoAnswer("refused", device="pi-03", step="connect")
LOST = LinkLost("the link fell silent", device="pi-03", step="facts")


class Rescuable(ScriptedExecutor):
    """A device that fails with `first`, and whose every rescue ends as `rescues` say: with an error, or well."""

    def __init__(self, reply: Reply, first: DeviceError | None, rescues: dict[Rung, DeviceError | None]) -> None:
        super().__init__({"pi-03": reply}, {"pi-03": SessionEnded("pi-03", first)} if first else None)
        self._rescues = rescues
        self.rescued: list[Rung] = []

    def launch(self, devices: Sequence[Device], emit: Emit, rescue: Rescue | None = None) -> None:
        if rescue is None:
            super().launch(devices, emit)
            return
        self.rescued.append(rescue.rung)
        failure = self._rescues[rescue.rung]
        emit(RungClimbed("pi-03", rescue.rung, str(failure or ""), succeeded=failure is None))
        emit(SessionEnded("pi-03", failure) if failure else FactsReported("pi-03", Facts(FACTS), WORKER_SHA256))


def board(recovery: Recovery) -> Device:
    return replace(PI, recovery=recovery)


def events(store: Store) -> list[tuple[str, bool | None]]:
    return [(event.rung.value, event.succeeded) for event in store.recovery_events(RUN)]


@pytest.mark.parametrize(
    ("recovery", "climbed", "answers", "expected"),
    [
        (Recovery(), (), True, None),
        (BOTH, (), True, Rung.REBOOT),
        (BOTH, (), False, Rung.POWER_CYCLE),
        (BOTH, (Rung.REBOOT,), True, Rung.POWER_CYCLE),
        (BOTH, (Rung.REBOOT, Rung.POWER_CYCLE), True, None),
        (BOTH, (Rung.POWER_CYCLE,), True, None),
        (replace(BOTH, power_cycle=None), (), False, None),
    ],
)
def test_a_device_is_rebooted_only_if_it_answers_and_each_rung_is_climbed_once(
    recovery: Recovery, climbed: Sequence[Rung], answers: bool, expected: Rung | None
) -> None:
    assert next_rescue(recovery, climbed, answers=answers) is expected


def test_a_device_that_does_not_answer_is_cycled_and_then_measures(store: Store) -> None:
    executor = Rescuable(obedient(PI), REFUSED, {Rung.POWER_CYCLE: None})
    outcome = drive(store, executor, devices=(board(BOTH),))
    assert outcome.exit_code == 0
    assert executor.rescued == [Rung.POWER_CYCLE]
    assert events(store) == [("power-cycle", True)]
    assert store.recovery_events(RUN)[0].reason == "pi-03: connect: refused"


def test_a_reboot_that_does_not_help_is_followed_by_a_power_cycle(store: Store) -> None:
    refused = RebootFailed("a password is required", device="pi-03", step="recover")
    executor = Rescuable(obedient(PI), LOST, {Rung.REBOOT: refused, Rung.POWER_CYCLE: None})
    outcome = drive(store, executor, devices=(board(BOTH),))
    assert outcome.exit_code == 0
    assert events(store) == [("reboot", False), ("power-cycle", True)]


def test_a_device_that_nothing_helps_is_kept_from_the_next_run_if_the_inventory_says_so(store: Store) -> None:
    gone = NoAnswer("it did not come back", device="pi-03", step="recover")
    device = board(replace(BOTH, quarantine=True))
    outcome = drive(store, Rescuable(obedient(PI), REFUSED, {Rung.POWER_CYCLE: gone}), devices=(device,))
    assert state(outcome, PI) is DeviceRunState.FAILED
    assert error(outcome, PI) == "pi-03: recover: it did not come back"
    assert events(store) == [("power-cycle", False), ("quarantine", True)]

    executor = ScriptedExecutor({"pi-03": obedient(PI)})
    again = drive(store, executor, Intent.RESUME, devices=(device,))
    assert (error(again, PI) or "").startswith("pi-03: in quarantine since ")
    assert executor.posted == [], "it is not even connected to"

    store.readmit("pi-03", "ann@ws1")
    assert drive(store, executor, Intent.RESUME, devices=(device,)).exit_code == 0


def test_a_device_that_fails_is_not_put_into_quarantine_unless_the_inventory_says_so(store: Store) -> None:
    drive(store, ScriptedExecutor({}, {"pi-03": SessionEnded("pi-03", REFUSED)}))
    assert store.quarantines(["pi-03"]) == {}
    assert events(store) == []


def test_what_another_boot_would_not_change_is_left_to_people(store: Store) -> None:
    wrong_key = AuthenticationFailed("no key fits", device="pi-03", step="connect")
    executor = Rescuable(obedient(PI), wrong_key, {})
    outcome = drive(store, executor, devices=(board(replace(BOTH, quarantine=True)),))
    assert state(outcome, PI) is DeviceRunState.FAILED
    assert executor.rescued == []
    assert store.quarantines(["pi-03"]) == {}


@pytest.mark.parametrize("intent", [Intent.FOLLOW, Intent.CANCEL])
def test_whoever_only_collects_or_cancels_never_touches_the_device(store: Store, intent: Intent) -> None:
    drive(store, ScriptedExecutor({"pi-03": lambda _: [RunnerStarted("pi-03", RUN, "log-1")]}), Intent.DETACH)
    executor = Rescuable(obedient(PI), LOST, {})
    drive(store, executor, intent, devices=(board(replace(BOTH, quarantine=True)),))
    assert executor.rescued == []
    assert store.quarantines(["pi-03"]) == {}


class Dying:
    """A device whose runner ends before its plan does, so many times; then it runs the rest."""

    def __init__(self, times: int) -> None:
        self._left = times

    def __call__(self, command: Command) -> Sequence[Report]:
        started = [RunnerStarted("pi-03", RUN, "log-1")] if isinstance(command, Assignment) else []
        if self._left == 0:
            return [*started, *followed(whole_log(PI))]
        if isinstance(command, Assignment):
            self._left -= 1
        log = log_of(PI)
        return [*started, FollowEnded("pi-03", RUN, LogState.STOPPED, log.log_id, log.last_seq, "it was killed")]


def deaths(store: Store, times: int, recovery: Recovery, **rescues: None) -> tuple[RunOutcome, Rescuable]:
    executor = Rescuable(Dying(times), None, {Rung(name): failure for name, failure in rescues.items()})
    return drive(store, executor, devices=(board(recovery),)), executor


def test_a_runner_that_was_killed_is_started_again_by_itself(store: Store) -> None:
    outcome, executor = deaths(store, 2, Recovery())
    assert outcome.exit_code == 0
    assert executor.commands("pi-03").count(Assignment) == 3
    assert events(store) == [("restart", True), ("restart", True)]
    assert {event.reason for event in store.recovery_events(RUN)} == {"it was killed"}


@pytest.mark.parametrize("restarts_max", [0, 1, 3])
def test_a_runner_that_always_dies_is_left_after_so_many_restarts(store: Store, restarts_max: int) -> None:
    outcome, executor = deaths(store, 99, Recovery(restarts_max=restarts_max))
    assert state(outcome, PI) is DeviceRunState.STOPPED
    assert executor.commands("pi-03").count(Assignment) == 1 + restarts_max
    assert error(outcome, PI) == "the runner on the device ended before its plan did: it was killed"


def test_a_device_whose_runner_always_dies_is_rebooted_and_goes_on(store: Store) -> None:
    outcome, executor = deaths(store, 2, replace(BOTH, restarts_max=1), reboot=None)
    assert outcome.exit_code == 0
    assert executor.rescued == [Rung.REBOOT]
    assert events(store) == [("restart", True), ("reboot", True)]
    assert executor.commands("pi-03").count(Attachment) == 1, "what the log already has is not measured again"


def test_after_a_reboot_the_runner_is_started_even_where_restarts_are_off(store: Store) -> None:
    outcome, _ = deaths(store, 1, replace(BOTH, restarts_max=0), reboot=None)
    assert outcome.exit_code == 0
    assert events(store) == [("reboot", True)]


def test_what_a_session_tried_by_itself_is_on_record(store: Store) -> None:
    def reply(command: Command) -> Sequence[Report]:
        lost = RungClimbed("pi-03", Rung.RECONNECT, "pi-03: follow: the link fell silent", succeeded=True)
        return [RunnerStarted("pi-03", RUN, "log-1"), lost, *followed(whole_log(PI))]

    assert drive(store, ScriptedExecutor({"pi-03": reply})).exit_code == 0
    (event,) = store.recovery_events(RUN)
    assert (event.rung, event.succeeded, event.reason) == (
        Rung.RECONNECT, True, "pi-03: follow: the link fell silent",
    )  # fmt: skip


def test_a_device_that_another_controller_took_over_is_not_rebooted(store: Store) -> None:
    """The lease is lost while the runner dies: the fence stands before the reboot too."""

    def reply(command: Command) -> Sequence[Report]:
        store.end_leases([lease.id for lease in store.holdings(["pi-03"])["pi-03"].held])
        return Dying(99)(command)

    executor = Rescuable(reply, None, {Rung.REBOOT: None})
    drive(store, executor, devices=(board(replace(BOTH, restarts_max=0)),))
    assert executor.rescued == []
    assert events(store) == []


def test_detached_devices_are_rescued_only_until_they_run(store: Store) -> None:
    executor = Rescuable(obedient(PI), REFUSED, {Rung.POWER_CYCLE: None})
    outcome = drive(store, executor, Intent.DETACH, devices=(board(BOTH),))
    assert state(outcome, PI) is DeviceRunState.RUNNING
    assert executor.rescued == [Rung.POWER_CYCLE]


def dark(name: str) -> SessionEnded:
    return SessionEnded(name, NoAnswer("no route", device=name, step="connect"))


class Lab(ScriptedExecutor):
    """Two boards; a rescue always helps."""

    def __init__(self, greetings: dict[str, Report]) -> None:
        super().__init__({"pi-03": obedient(PI), "pi-04": obedient(HAT)}, greetings)
        self.rescued: list[tuple[str, Rung]] = []

    def launch(self, devices: Sequence[Device], emit: Emit, rescue: Rescue | None = None) -> None:
        if rescue is None:
            super().launch(devices, emit)
            return
        (device,) = devices
        self.rescued.append((device.name, rescue.rung))
        emit(RungClimbed(device.name, rescue.rung, "", succeeded=True))
        emit(FactsReported(device.name, Facts(FACTS), WORKER_SHA256))


def two_boards(*, quarantine: bool = False) -> list[Device]:
    return [replace(one, recovery=replace(BOTH, quarantine=quarantine)) for one in (PI, HAT)]


def test_a_lab_in_which_nobody_answers_is_left_alone(store: Store) -> None:
    """It is this side's network: cutting the power of every board would end what they do by themselves."""
    executor = Lab({"pi-03": dark("pi-03"), "pi-04": dark("pi-04")})
    outcome = drive(store, executor, devices=two_boards(quarantine=True))
    assert outcome.exit_code == 4
    assert executor.rescued == []
    assert store.quarantines(["pi-03", "pi-04"]) == {}


def test_the_one_that_does_not_answer_is_cycled_if_another_does(store: Store) -> None:
    executor = Lab({"pi-03": dark("pi-03")})
    assert drive(store, executor, devices=two_boards()).exit_code == 0
    assert executor.rescued == [("pi-03", Rung.POWER_CYCLE)]


def test_what_becomes_of_the_others_is_waited_for(store: Store) -> None:
    boards = two_boards()
    store.create_run(sample_header(RUN, SWEEP, MODEL), MODEL, boards)
    executor = Lab({})
    of_driver = DriverParts(store, executor, SilentDisplay(), Planner())
    leases = DeviceLeases(store, RUN, of_driver.tenant)
    leases.claim(boards)
    parts = {board.name: Part(board, launched=True, stranded_at=1.0) for board in boards}
    ladder = Ladder(RUN, Intent.RUN, parts, of_driver, leases, tell=lambda report: None)
    assert ladder.help(parts["pi-03"], REFUSED) is Help.LATER
    assert events(store) == []
    parts["pi-04"].heard_at = 2.0
    assert ladder.help(parts["pi-03"], REFUSED) is Help.NOW
    assert executor.rescued == [("pi-03", Rung.POWER_CYCLE)]


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
    assert store.quarantines(["pi-03"]) == {}


def test_this_machine_is_no_witness_for_the_network(store: Store) -> None:
    dark_one, here = two_boards()
    here = replace(here, transport=TransportKind.LOCAL, recovery=Recovery())
    executor = Lab({"pi-03": dark("pi-03")})
    drive(store, executor, devices=[dark_one, here])
    assert executor.rescued == []


def test_the_only_device_of_a_command_need_not_be_the_only_one_of_its_run(store: Store) -> None:
    both = [replace(one, recovery=Recovery()) for one in two_boards()]
    drive(store, Lab({"pi-03": dark("pi-03")}), devices=both)
    executor = Lab({"pi-03": dark("pi-03")})
    drive(store, executor, Intent.RESUME, devices=two_boards()[:1])
    assert executor.rescued == []


def test_a_device_is_kept_from_a_run_that_queued_for_it(store: Store) -> None:
    store.create_run(sample_header(RUN, SWEEP, MODEL), MODEL, [PI])
    held = store.claim_leases([PI], Claim("bob@ws2", "pid 2", None, "mine", 60.0))["pi-03"]
    assert isinstance(held, Granted)
    reservation = held.lease.id

    class Repairer(SilentDisplay):
        def step(self, device: str, step: str, detail: str) -> None:
            if step == "wait":
                store.quarantine(PI, "its fan is broken", "bob@ws2")
                store.end_leases([reservation])

    executor = ScriptedExecutor({"pi-03": obedient(PI)})
    parts = DriverParts(store, executor, Repairer(), Planner(), Tenant("ann@ws1", "pid 1", lease_s=0.3, waits=True))
    Driver(RUN, Intent.RUN, parts).drive([PI])
    outcome = outcome_of(store, RUN)
    assert executor.posted == []
    assert (error(outcome, PI) or "").startswith("pi-03: in quarantine since")
    assert store.holdings(["pi-03"]) == {}, "it is given back"


def test_a_runner_that_is_dead_is_not_running_after_a_rescue_that_failed(store: Store) -> None:
    refused = RebootFailed("a password is required", device="pi-03", step="recover")
    executor = Rescuable(Dying(99), None, {Rung.REBOOT: refused})
    recovery = Recovery(restarts_max=0, reboot=("sudo", "reboot"))
    outcome = drive(store, executor, devices=(board(recovery),))
    assert state(outcome, PI) is DeviceRunState.STOPPED
    assert store.holdings(["pi-03"]) == {}


def test_a_runner_that_cannot_be_started_again_is_not_running(store: Store) -> None:
    class Full(Dying):
        def __call__(self, command: Command) -> Sequence[Report]:
            if isinstance(command, Assignment) and self._left < 99:
                return [SessionEnded("pi-03", DeviceDiskFull("no space is left", device="pi-03", step="start"))]
            return super().__call__(command)

    outcome = drive(store, Rescuable(Full(99), None, {}), devices=(board(Recovery()),))
    assert (state(outcome, PI), error(outcome, PI)) == (DeviceRunState.STOPPED, "pi-03: start: no space is left")
    assert events(store) == [("restart", False)]
    assert store.holdings(["pi-03"]) == {}


def test_a_link_that_is_lost_and_found_within_a_restart_has_a_row_of_its_own(store: Store) -> None:
    class Full(Dying):
        def __call__(self, command: Command) -> Sequence[Report]:
            if isinstance(command, Assignment) and self._left < 99:
                found = RungClimbed("pi-03", Rung.RECONNECT, "pi-03: upload: silent", succeeded=True, took_s=2.0)
                return [found, SessionEnded("pi-03", WorkerFailed("the disk is full", device="pi-03", step="start"))]
            return super().__call__(command)

    drive(store, Rescuable(Full(99), None, {}), devices=(board(Recovery()),))
    assert events(store) == [("restart", False), ("reconnect", True)]
    found = store.recovery_events(RUN)[1]
    assert found.ended_at is not None
    assert (found.ended_at - found.began_at).total_seconds() >= 2.0


def test_a_spared_device_was_retried(store: Store) -> None:
    class Back(Rescuable):
        def launch(self, devices: Sequence[Device], emit: Emit, rescue: Rescue | None = None) -> None:
            if rescue is None:
                super().launch(devices, emit)
                return
            assert rescue.if_silent
            emit(RungClimbed("pi-03", Rung.RETRY, "", succeeded=True))
            emit(FactsReported("pi-03", Facts(FACTS), WORKER_SHA256))

    assert drive(store, Back(obedient(PI), REFUSED, {}), devices=(board(BOTH),)).exit_code == 0
    assert events(store) == [("retry", True)]


def test_a_run_that_is_cancelled_while_its_device_is_cycled_stays_cancelled(store: Store) -> None:
    class Cancelled(Rescuable):
        def launch(self, devices: Sequence[Device], emit: Emit, rescue: Rescue | None = None) -> None:
            if rescue is not None:
                store.set_device_state(RUN, "pi-03", DeviceRunState.CANCELLED)
            super().launch(devices, emit, rescue)

    executor = Cancelled(obedient(PI), REFUSED, {Rung.POWER_CYCLE: None})
    outcome = drive(store, executor, devices=(board(BOTH),))
    assert state(outcome, PI) is DeviceRunState.CANCELLED
    assert Assignment not in executor.commands("pi-03")


def test_a_gateway_that_cannot_be_had_again_ends_the_rung_and_no_more(store: Store) -> None:
    class Gone(Rescuable):
        def launch(self, devices: Sequence[Device], emit: Emit, rescue: Rescue | None = None) -> None:
            if rescue is not None:
                raise OrchestratorError("the gateway did not start")
            super().launch(devices, emit)

    outcome = drive(store, Gone(obedient(PI), REFUSED, {}), devices=(board(BOTH),))
    assert error(outcome, PI) == "pi-03: connect: refused"
    assert events(store) == [("power-cycle", False)]


def test_a_clock_that_is_not_set_yet_after_a_reboot_does_not_bar_the_device(store: Store) -> None:
    class Unset(Rescuable):
        def launch(self, devices: Sequence[Device], emit: Emit, rescue: Rescue | None = None) -> None:
            if rescue is None:
                super().launch(devices, emit)
                return
            emit(RungClimbed("pi-03", rescue.rung, "", succeeded=True))
            facts = Facts({**FACTS, CLOCK_OFFSET_KEY: -400_000.0})
            emit(FactsReported("pi-03", facts, WORKER_SHA256))

    device = replace(board(BOTH), limits=Limits(clock_offset_s_max=60.0))
    assert drive(store, Unset(obedient(PI), REFUSED, {}), devices=(device,)).exit_code == 0
