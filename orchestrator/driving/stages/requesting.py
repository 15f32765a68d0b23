"""List the rules of a device's first stages: the lease, the facts, the plan."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.domain.conversation import Step
from orchestrator.domain.run import DeviceRunState
from orchestrator.driving.stages import events as e
from orchestrator.driving.stages import orders as o
from orchestrator.driving.stages.endings import (
    DONE,
    END,
    end_cancelled_elsewhere,
    end_rung,
    end_unreachable,
    end_unrecorded,
    record_end,
    was_cancelled_elsewhere,
)
from orchestrator.driving.stages.part import WITH_SESSION, DevicePart, Hold, Intent, Stage
from orchestrator.driving.stages.rules import Change, Table

ASKED = (Stage.REQUESTING, Stage.QUEUED)
GREETING = (Stage.CONNECTING, Stage.RESCUING)
# Not while forgetting: the end is on record by then.
MAY_FAIL = tuple(stage for stage in WITH_SESSION if stage is not Stage.FORGETTING)

RULES = Table()


# ---- The lease


def was_ended_elsewhere(part: DevicePart, event: e.LeaseGranted) -> bool:
    """Say whether the run became complete or cancelled here while the driver queued."""
    return part.found not in DONE and event.known.state in DONE


@RULES.rule(e.LeaseGranted, (Stage.QUEUED,), Stage.ENDED, (o.ShowEnd,), was_ended_elsewhere)
def _leave_ended(part: DevicePart, event: e.LeaseGranted) -> Change:
    state = event.known.state
    message = f"{part.name}: the run became {state.value} elsewhere, while this command queued for it"
    return end_unrecorded(part, state, message)


@RULES.rule(e.LeaseGranted, ASKED, Stage.CONNECTING, (o.ShowStep, o.Connect))
def _connect(part: DevicePart, event: e.LeaseGranted) -> Change:
    # Shown, since the command of a previous controller stops by this grant.
    steps = (o.ShowStep("lease", f"taken over from {previous}") for previous in event.previous)
    hold = Hold.EXCLUSIVE if event.exclusive else Hold.SHARED
    return replace(part, stage=Stage.CONNECTING, hold=hold), (*steps, o.Connect())


@RULES.rule(e.LeaseQueued, ASKED, Stage.QUEUED, (o.ShowStep,))
def _queue(part: DevicePart, event: e.LeaseQueued) -> Change:
    return replace(part, stage=Stage.QUEUED), (o.ShowStep(Step.WAIT, event.place),)


@RULES.rule(e.LeaseQueued, GREETING, Stage.QUEUED, (o.EndRung, o.ShowStep, o.TellClose))
def _take_turn(part: DevicePart, event: e.LeaseQueued) -> Change:
    settled, orders = end_rung(part, succeeded=True)
    waiting = replace(settled, stage=Stage.QUEUED, hold=Hold.NONE)
    return waiting, (*orders, o.ShowStep(Step.WAIT, event.place), o.TellClose())


@RULES.rule(e.LeaseRefused, GREETING, Stage.ENDED, END)
def _refuse_twin(part: DevicePart, event: e.LeaseRefused) -> Change:
    return end_unreachable(replace(part, hold=Hold.NONE), event.error, event.known)


@RULES.rule(e.LeaseRefused, ASKED, Stage.ENDED, (o.Record, o.Warn))
def _refuse(part: DevicePart, event: e.LeaseRefused) -> Change:
    return end_unreachable(part, event.error, event.known)


def is_still_ours(part: DevicePart, event: e.LeaseTaken) -> bool:
    """Say whether the driver has not heard of the loss yet."""
    return part.hold is not Hold.LOST


# A part that has ended hears of the loss too: the database may refuse the very record of the end.
@RULES.rule(e.LeaseTaken, tuple(Stage), Stage.ENDED, (o.ShowEnd, o.TellClose), is_still_ours)
def _give_way(part: DevicePart, event: e.LeaseTaken) -> Change:
    return end_unrecorded(replace(part, hold=Hold.LOST), event.state, str(event.lost), event.lost.hint)


# ---- The plan


@RULES.rule(e.Unusable, MAY_FAIL, Stage.ENDED, END)
def _fail(part: DevicePart, event: e.Unusable) -> Change:
    return record_end(part, DeviceRunState.FAILED, str(event.error), event.error.hint)


@RULES.rule(e.FactsStored, GREETING, Stage.ENDED, (o.ShowEnd, o.TellClose), was_cancelled_elsewhere)
def _leave_cancelled(part: DevicePart, event: e.FactsStored) -> Change:
    return end_cancelled_elsewhere(part)


def has_nothing_to_cancel(part: DevicePart, event: e.FactsStored) -> bool:
    """Say whether the command cancels, and the device never had a plan."""
    return part.intent is Intent.CANCEL and not event.known.planned


@RULES.rule(e.FactsStored, GREETING, Stage.ENDED, (o.TellCancel, *END), has_nothing_to_cancel)
def _cancel_unplanned(part: DevicePart, event: e.FactsStored) -> Change:
    ended, orders = record_end(part, DeviceRunState.CANCELLED)
    return ended, (o.TellCancel(), *orders)


def has_nothing_to_follow(part: DevicePart, event: e.FactsStored) -> bool:
    """Say whether the command follows, and the device never had a plan."""
    return part.intent is Intent.FOLLOW and not event.known.planned


@RULES.rule(e.FactsStored, GREETING, Stage.ENDED, END, has_nothing_to_follow)
def _leave_unplanned(part: DevicePart, event: e.FactsStored) -> Change:
    return record_end(part, DeviceRunState.PLANNED)


def needs_plan(part: DevicePart, event: e.FactsStored) -> bool:
    """Say whether the run begins on the device, or the device's plan was never recorded."""
    return part.begins or not event.known.planned


@RULES.rule(e.FactsStored, GREETING, Stage.PREPARING, (o.Prepare,), needs_plan)
def _prepare(part: DevicePart, event: e.FactsStored) -> Change:
    return replace(part, stage=Stage.PREPARING), (o.Prepare(),)


def is_detaching(part: DevicePart, event: e.FactsStored) -> bool:
    """Say whether the command detaches. Only a rescued device comes here."""
    return part.intent is Intent.DETACH


# Sent again rather than attached to: the rescue may have ended the runner, and a detach waits for a runner alone.
@RULES.rule(e.FactsStored, GREETING, Stage.STARTING, (o.AssignRest,), is_detaching)
def _assign_again(part: DevicePart, event: e.FactsStored) -> Change:
    return replace(part, stage=Stage.STARTING), (o.AssignRest(event.known.offset),)


@RULES.rule(e.FactsStored, GREETING, Stage.FOLLOWING, (o.TellCancel, o.Attach))
def _attach(part: DevicePart, event: e.FactsStored) -> Change:
    # Cancel first: a session that follows a log takes no other command until the log ends.
    cancel = (o.TellCancel(),) if part.intent is Intent.CANCEL else ()
    return replace(part, stage=Stage.FOLLOWING), (*cancel, o.Attach(event.known.offset))


def has_no_trials(part: DevicePart, event: e.PlanRecorded) -> bool:
    """Say whether the plan has no trial."""
    return event.trials == 0


@RULES.rule(e.PlanRecorded, (Stage.PREPARING,), Stage.ENDED, END, has_no_trials)
def _complete_empty(part: DevicePart, event: e.PlanRecorded) -> Change:
    return record_end(part, DeviceRunState.COMPLETE)


@RULES.rule(e.PlanRecorded, (Stage.PREPARING,), Stage.STARTING, (o.AssignPlan,))
def _assign(part: DevicePart, event: e.PlanRecorded) -> Change:
    return replace(part, stage=Stage.STARTING), (o.AssignPlan(),)
