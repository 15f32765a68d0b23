"""The recovery ladder: what is tried for a device that fails, in which order, and what is on record of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from orchestrator.domain.conversation import (
    Assignment,
    Attachment,
    Command,
    PlanStarted,
    Report,
    RungClimbed,
    SessionEnded,
)
from orchestrator.domain.errors import (
    AuthenticationFailed,
    NoAnswer,
    NoProgress,
    RebootFailed,
)
from orchestrator.domain.recovery import Recovery, Rung, next_rescue
from orchestrator.domain.run import DeviceRunState
from orchestrator.driving.driver import Intent
from orchestrator.store.store import Store
from tests.unit.driving.recovering import (
    BOTH,
    LOST,
    REFUSED,
    Dying,
    Rescuable,
    board,
    deaths,
    events,
)
from tests.unit.driving.test_drive import (
    PI,
    RUN,
    Reply,
    ScriptedExecutor,
    drive,
    error,
    followed,
    obedient,
    state,
    whole_log,
)


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
    assert store.recovery.recovery_events(RUN)[0].reason == "pi-03: connect: refused"


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

    store.recovery.readmit("pi-03", "ann@ws1")
    assert drive(store, executor, Intent.RESUME, devices=(device,)).exit_code == 0


def test_a_device_that_fails_is_not_put_into_quarantine_unless_the_inventory_says_so(store: Store) -> None:
    drive(store, ScriptedExecutor({}, {"pi-03": SessionEnded("pi-03", REFUSED)}))
    assert store.recovery.quarantines(["pi-03"]) == {}
    assert events(store) == []


def test_what_another_boot_would_not_change_is_left_to_people(store: Store) -> None:
    wrong_key = AuthenticationFailed("no key fits", device="pi-03", step="connect")
    executor = Rescuable(obedient(PI), wrong_key, {})
    outcome = drive(store, executor, devices=(board(replace(BOTH, quarantine=True)),))
    assert state(outcome, PI) is DeviceRunState.FAILED
    assert executor.rescued == []
    assert store.recovery.quarantines(["pi-03"]) == {}


@pytest.mark.parametrize("intent", [Intent.FOLLOW, Intent.CANCEL])
def test_whoever_only_collects_or_cancels_never_touches_the_device(store: Store, intent: Intent) -> None:
    drive(store, ScriptedExecutor({"pi-03": lambda _: [PlanStarted("pi-03", RUN, "log-1")]}), Intent.DETACH)
    executor = Rescuable(obedient(PI), LOST, {})
    drive(store, executor, intent, devices=(board(replace(BOTH, quarantine=True)),))
    assert executor.rescued == []
    assert store.recovery.quarantines(["pi-03"]) == {}


def test_a_runner_that_was_killed_is_started_again_by_itself(store: Store) -> None:
    outcome, executor = deaths(store, 2, Recovery())
    assert outcome.exit_code == 0
    assert executor.commands("pi-03").count(Assignment) == 3
    assert events(store) == [("restart", True), ("restart", True)]
    assert {event.reason for event in store.recovery.recovery_events(RUN)} == {"it was killed"}


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


STILL = NoProgress("no record for 400 s", "look at the device", device="pi-03", step="follow")


def stands_still(command: Command) -> Sequence[Report]:
    return [PlanStarted("pi-03", RUN, "log-1"), SessionEnded("pi-03", STILL)]


def test_a_device_that_stands_still_ends_the_run_and_may_be_resumed(store: Store) -> None:
    outcome = drive(store, ScriptedExecutor({"pi-03": stands_still}), devices=(board(Recovery()),))
    assert outcome.exit_code == 3
    assert state(outcome, PI) is DeviceRunState.RUNNING, "its runner may go on"
    assert error(outcome, PI) == "pi-03: follow: no record for 400 s"
    assert drive(store, ScriptedExecutor({"pi-03": lambda _: followed(whole_log(PI))}), Intent.RESUME).exit_code == 0


def test_a_device_that_stands_still_is_rebooted_and_goes_on(store: Store) -> None:
    turns: Iterator[Reply] = iter((stands_still,))
    executor = Rescuable(lambda command: next(turns, obedient(PI))(command), None, {Rung.REBOOT: None})
    outcome = drive(store, executor, devices=(board(BOTH),))
    assert executor.rescued == [Rung.REBOOT]
    assert outcome.exit_code == 0
    assert events(store) == [("reboot", True)]


def test_what_a_session_tried_by_itself_is_on_record(store: Store) -> None:
    def reply(command: Command) -> Sequence[Report]:
        lost = RungClimbed("pi-03", Rung.RECONNECT, "pi-03: follow: the link fell silent", succeeded=True)
        return [PlanStarted("pi-03", RUN, "log-1"), lost, *followed(whole_log(PI))]

    assert drive(store, ScriptedExecutor({"pi-03": reply})).exit_code == 0
    (event,) = store.recovery.recovery_events(RUN)
    assert (event.rung, event.succeeded, event.reason) == (
        Rung.RECONNECT, True, "pi-03: follow: the link fell silent",
    )  # fmt: skip


def test_a_device_that_another_controller_took_over_is_not_rebooted(store: Store) -> None:
    """The lease is lost while the runner dies: the fence stands before the reboot too."""

    def reply(command: Command) -> Sequence[Report]:
        store.leases.end_leases([lease.id for lease in store.leases.holdings(["pi-03"])["pi-03"].held])
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
