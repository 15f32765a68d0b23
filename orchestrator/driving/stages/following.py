"""List the rules of a device at work: the runner, the end of the log, the end of the session."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.domain.errors import RunnerStopped
from orchestrator.domain.recovery import Rung
from orchestrator.domain.run import DeviceRunState
from orchestrator.driving.stages import events as e
from orchestrator.driving.stages import orders as o
from orchestrator.driving.stages import recovery
from orchestrator.driving.stages.endings import (
    DONE,
    END,
    end_cancelled_elsewhere,
    end_rung,
    record_end,
    resume_hint,
    warn_log_left,
    was_cancelled_since,
)
from orchestrator.driving.stages.part import WITH_SESSION, DevicePart, Intent, RunnerState, Stage
from orchestrator.driving.stages.rules import Change, Table

STOPPED = "the runner on the device ended before its plan did"
LOG_GONE = "the device has no log of this run any more"
NOT_BEGUN = "the device has not begun"
AT_WORK = (Stage.STARTING, Stage.FOLLOWING)
# While forgetting, the end of the session is the end that was ordered, whatever the error.
UNFINISHED = tuple(stage for stage in WITH_SESSION if stage is not Stage.FORGETTING)

RULES = Table()


# ---- The runner and its log


def is_detached(part: DevicePart, event: e.RunnerAlive) -> bool:
    """Say whether the command detaches."""
    return part.intent is Intent.DETACH


@RULES.rule(e.RunnerAlive, AT_WORK, Stage.ENDED, END, is_detached)
def _detach(part: DevicePart, event: e.RunnerAlive) -> Change:
    return record_end(_alive(part), DeviceRunState.RUNNING, helped=True)


@RULES.rule(e.RunnerAlive, AT_WORK, Stage.FOLLOWING, (o.EndRung,))
def _follow(part: DevicePart, event: e.RunnerAlive) -> Change:
    settled, orders = end_rung(_alive(part), succeeded=True)
    return replace(settled, stage=Stage.FOLLOWING), orders


def broke_off_cancelled(part: DevicePart, event: e.LogEnded) -> bool:
    """Say whether the log broke off, and the run was cancelled here after the measuring command took the run up."""
    return event.end is not e.LogEnd.FINISHED and was_cancelled_since(part, event.known)


@RULES.rule(e.LogEnded, AT_WORK, Stage.ENDED, (o.ShowEnd, o.TellClose), broke_off_cancelled)
def _leave_broken_off(part: DevicePart, event: e.LogEnded) -> Change:
    return end_cancelled_elsewhere(_heard(part, event))


def has_more_to_run(part: DevicePart, event: e.LogEnded) -> bool:
    """Say whether trials are missing, the command may start trials, and a restart is left."""
    return event.missing and may_restart(part, event.end)


RESTART = (o.EndRung, o.BeginRung, o.TellForget, o.AssignRest)


# Before the other ends of a log: while trials are missing and a restart is left, no end is final.
@RULES.rule(e.LogEnded, AT_WORK, Stage.STARTING, RESTART, has_more_to_run)
def _restart(part: DevicePart, event: e.LogEnded) -> Change:
    part = _heard(part, event)
    orders: list[o.Order] = []
    is_rung = recovery.is_recovery(part)
    climb = replace(part.climb, restarts=part.climb.restarts + 1)
    if is_rung:
        # A runner that ended again: the restart before has not helped.
        orders += end_rung(part, succeeded=False)[1]
        orders.append(o.BeginRung(Rung.RESTART, event.reason or STOPPED))
        climb = replace(climb, open=Rung.RESTART)
    if event.stored:  # a finished log gives way to a new one
        orders.append(o.TellForget(event.known.offset, and_close=False))
    climb = replace(climb, on_new_log=event.stored or event.end is e.LogEnd.GONE)
    return replace(part, stage=Stage.STARTING, climb=climb), (*orders, o.AssignRest(event.known.offset))


def is_stored(part: DevicePart, event: e.LogEnded) -> bool:
    """Say whether the database has the whole log."""
    return event.stored


@RULES.rule(e.LogEnded, AT_WORK, Stage.FORGETTING, (o.Record, o.ShowEnd, o.TellForget), is_stored)
def _forget(part: DevicePart, event: e.LogEnded) -> Change:
    known, forget = event.known, o.TellForget(event.known.offset, and_close=True)
    # Shown alone: the records of the log have set the state already.
    told: o.Order = o.ShowEnd(known.state, known.error, known.hint)
    state = known.state
    if part.intent is Intent.CANCEL and state not in DONE:
        # A log that a full disk or a reboot stopped does not say that it was cancelled.
        state = DeviceRunState.CANCELLED
        told = o.Record(state)
    return replace(_heard(part, event), stage=Stage.FORGETTING, outcome=state), (told, forget)


def is_cancelled(part: DevicePart, event: e.LogEnded) -> bool:
    """Say whether the command cancels."""
    return part.intent is Intent.CANCEL


@RULES.rule(e.LogEnded, AT_WORK, Stage.ENDED, END, is_cancelled)
def _cancel(part: DevicePart, event: e.LogEnded) -> Change:
    # A device that was faster than the cancellation stays complete.
    state = event.known.state if event.known.state in DONE else DeviceRunState.CANCELLED
    return record_end(_heard(part, event), state)


def was_forgotten(part: DevicePart, event: e.LogEnded) -> bool:
    """Say whether the log is gone, and the run is complete or cancelled here."""
    return event.end is e.LogEnd.GONE and event.known.state in DONE


@RULES.rule(e.LogEnded, AT_WORK, Stage.ENDED, END, was_forgotten)
def _confirm(part: DevicePart, event: e.LogEnded) -> Change:
    return record_end(part, event.known.state)


def has_not_begun(part: DevicePart, event: e.LogEnded) -> bool:
    """Say whether there is no log, no runner was met, and the run is planned here."""
    unseen = part.runner is RunnerState.UNSEEN and event.end is e.LogEnd.GONE
    return unseen and event.known.state is DeviceRunState.PLANNED


@RULES.rule(e.LogEnded, AT_WORK, Stage.ENDED, END, has_not_begun)
def _leave_planned(part: DevicePart, event: e.LogEnded) -> Change:
    return record_end(part, DeviceRunState.PLANNED, NOT_BEGUN, resume_hint(part))


def may_be_rescued(part: DevicePart, event: e.LogEnded) -> bool:
    """Say whether the runner stopped, and a reboot or a power cycle is left to try."""
    return event.end is e.LogEnd.STOPPED and recovery.wants_rescue(part, _runner_stopped(part, event))


@RULES.rule(e.LogEnded, AT_WORK, Stage.CLOSING, (o.TellClose,), may_be_rescued)
def _close(part: DevicePart, event: e.LogEnded) -> Change:
    failure = _runner_stopped(part, event)
    # The rescue is a session of its own, since the present link does not outlast a reboot.
    return replace(_heard(part, event), stage=Stage.CLOSING, failure=failure), (o.TellClose(),)


@RULES.rule(e.LogEnded, AT_WORK, Stage.ENDED, END)
def _stop(part: DevicePart, event: e.LogEnded) -> Change:
    error = _runner_stopped(part, event).message
    return record_end(_heard(part, event), DeviceRunState.STOPPED, error, resume_hint(part))


# ---- The session and its rungs


def ends_the_rescue(part: DevicePart, event: e.RungReported) -> bool:
    """Say whether the rescue is over, and the device is back."""
    return event.succeeded and ends_open_rung(part, event)


@RULES.rule(e.RungReported, (Stage.RESCUING,), Stage.CONNECTING, (o.EndRung,), ends_the_rescue)
def _come_back(part: DevicePart, event: e.RungReported) -> Change:
    # Connecting again: the new session reports facts, and the log then decides as in a resume.
    tried, orders = _settle_rung(part, event)
    return replace(tried, stage=Stage.CONNECTING), orders


def ends_open_rung(part: DevicePart, event: e.RungReported) -> bool:
    """Say whether the report is of the rung on record."""
    # A session that was to cycle the power, and found the device there, reports that it has only tried again.
    return part.climb.open is not None and part.climb.open in (
        event.rung,
        Rung.POWER_CYCLE if event.rung is Rung.RETRY else event.rung,
    )


@RULES.rule(e.RungReported, WITH_SESSION, None, (o.EndRung,), ends_open_rung)
def _settle_rung(part: DevicePart, event: e.RungReported) -> Change:
    spared = event.rung is Rung.RETRY
    order = o.EndRung(event.succeeded, Rung.RETRY if spared else None)
    climb = replace(part.climb, open=None)
    if event.rung is not Rung.RESTART:
        climb = recovery.rescued(climb, spared=spared)
    return replace(part, climb=climb), (order,)


@RULES.rule(e.RungReported, WITH_SESSION, None, (o.NoteRung,))
def _note_rung(part: DevicePart, event: e.RungReported) -> Change:
    return part, (o.NoteRung(event.rung, event.reason, event.took_s, event.succeeded),)


@RULES.rule(e.SessionOver, (Stage.FORGETTING,), Stage.ENDED, (o.Warn,))
def _forgotten(part: DevicePart, event: e.SessionOver) -> Change:
    left = event.error if part.outcome is DeviceRunState.COMPLETE else None
    return replace(part, stage=Stage.ENDED), (warn_log_left(part, left),) if left else ()


def ended_early(part: DevicePart, event: e.SessionOver) -> bool:
    """Say whether the session failed, or was closed for a rescue."""
    return event.error is not None or part.stage is Stage.CLOSING


@RULES.rule(e.SessionOver, UNFINISHED, Stage.STRANDED, (), ended_early)
def _strand(part: DevicePart, event: e.SessionOver) -> Change:
    return replace(part, stage=Stage.STRANDED, failure=event.error or part.failure, stranded_at=event.at), ()


@RULES.rule(e.SessionOver, UNFINISHED, Stage.ENDED)
def _let_go(part: DevicePart, event: e.SessionOver) -> Change:
    return replace(part, stage=Stage.ENDED), ()


# ---- What several rules need


def may_restart(part: DevicePart, end: e.LogEnd) -> bool:
    """Say whether the command may start the trials missing after the end of a log.

    A new run restarts on a lost log only after a rescue. A device losing a log otherwise is not trusted.
    """
    if part.intent is not Intent.RESUME:
        own = end is e.LogEnd.STOPPED or (end is e.LogEnd.GONE and bool(part.climb.rungs))
        if part.intent is not Intent.RUN or not own:
            return False
    return recovery.has_restart_left(part)


def _alive(part: DevicePart) -> DevicePart:
    # Whatever a rescue may have cut off is running again.
    return replace(part, runner=RunnerState.ALIVE, climb=replace(part.climb, cut_off=False))


def _heard(part: DevicePart, event: e.LogEnded) -> DevicePart:
    return replace(part, runner=RunnerState.ENDED) if event.end is e.LogEnd.STOPPED else part


def _runner_stopped(part: DevicePart, event: e.LogEnded) -> RunnerStopped:
    error = STOPPED if event.end is e.LogEnd.STOPPED else LOG_GONE
    return RunnerStopped(error + (f": {event.reason}" if event.reason else ""), device=part.name)
