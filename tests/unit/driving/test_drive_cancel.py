"""Cancelling devices in whatever state they are found, with the real database."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from device_worker.protocol.vocabulary import LogState, RunOutcome
from orchestrator.domain.conversation import (
    Attachment,
    Cancel,
    Command,
    FollowEnded,
    Forget,
    PlanStarted,
    Report,
    SessionEnded,
)
from orchestrator.domain.errors import LinkLost, Unreachable
from orchestrator.domain.run import DeviceRunState, RunState
from orchestrator.driving.driver import Intent
from orchestrator.store.store import Store
from tests.unit.driving.test_drive import (
    HAT,
    PI,
    RUN,
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

GONE = SessionEnded("pi-03", Unreachable("refused", "is it on?", device="pi-03", step="connect"))


def begin(store: Store) -> None:
    """Leave a run whose device has its plan and a runner."""
    executor = ScriptedExecutor({"pi-03": lambda command: [PlanStarted("pi-03", RUN, "log-1")]})
    drive(store, executor, Intent.DETACH)


@pytest.mark.parametrize("found", [LogState.UNKNOWN, LogState.STOPPED])
def test_a_device_without_a_runner_is_cancelled_whatever_is_left_of_its_log(store: Store, found: str) -> None:
    begin(store)
    log_id, last_seq = (None, None) if found == LogState.UNKNOWN else ("log-1", 1)

    def reply(command: Command) -> Sequence[Report]:
        return [FollowEnded("pi-03", RUN, found, log_id, last_seq)] if isinstance(command, Attachment) else []

    outcome = drive(store, ScriptedExecutor({"pi-03": reply}), Intent.CANCEL)
    assert state(outcome, PI) is DeviceRunState.CANCELLED
    assert error(outcome, PI) is None
    assert outcome.record.state is RunState.CANCELLED


def test_a_device_that_a_full_disk_stopped_is_cancelled_and_its_log_is_collected(store: Store) -> None:
    log = log_of(PI).run_finished(RunOutcome.DISK_FULL)
    scripts: dict[str, Reply] = {"pi-03": lambda command: [PlanStarted("pi-03", RUN, "log-1"), *followed(log)]}
    assert state(drive(store, ScriptedExecutor(scripts)), PI) is DeviceRunState.STOPPED

    executor = ScriptedExecutor({"pi-03": lambda command: followed(log) if isinstance(command, Attachment) else []})
    outcome = drive(store, executor, Intent.CANCEL)
    assert executor.commands("pi-03") == [Cancel, Attachment, Forget]
    assert state(outcome, PI) is DeviceRunState.CANCELLED
    assert error(outcome, PI) is None


def test_a_device_that_was_faster_than_its_cancellation_is_complete(store: Store) -> None:
    begin(store)
    log = whole_log(PI)
    executor = ScriptedExecutor({"pi-03": lambda command: followed(log) if isinstance(command, Attachment) else []})
    assert state(drive(store, executor, Intent.CANCEL), PI) is DeviceRunState.COMPLETE


def test_a_device_that_never_had_a_plan_is_cancelled_without_being_reached(store: Store) -> None:
    nowhere = SessionEnded("pi-04", Unreachable("refused", "is it on?", device="pi-04", step="connect"))
    drive(store, ScriptedExecutor({"pi-03": obedient(PI)}, {"pi-04": nowhere}), devices=(PI, HAT))

    outcome = drive(store, ScriptedExecutor({}, {"pi-04": nowhere}), Intent.CANCEL, devices=(HAT,))
    assert (state(outcome, PI), state(outcome, HAT)) == (DeviceRunState.COMPLETE, DeviceRunState.CANCELLED)
    assert error(outcome, HAT) is None


def test_a_device_that_may_still_be_at_it_is_not_called_cancelled(store: Store) -> None:
    begin(store)
    outcome = drive(store, ScriptedExecutor({}, {"pi-03": GONE}), Intent.CANCEL)
    assert state(outcome, PI) is DeviceRunState.RUNNING
    assert error(outcome, PI) == "pi-03: connect: refused; the run may go on there"
    (part,) = outcome.record.devices
    assert part.hint == f"is it on?; when the device answers again: benchfleet runs cancel {RUN}"
    assert outcome.exit_code == 3


def test_a_link_lost_while_cancelling_says_so_too(store: Store) -> None:
    begin(store)
    lost = SessionEnded("pi-03", LinkLost("the worker ended", device="pi-03", step="cancel"))
    outcome = drive(store, ScriptedExecutor({"pi-03": lambda command: [lost]}), Intent.CANCEL)
    assert state(outcome, PI) is DeviceRunState.RUNNING
    assert error(outcome, PI) == "pi-03: cancel: the worker ended; the run may go on there"
