"""End a device's part, purely.

`record_end` ends a part with a record of the state, `end_unrecorded` without a record, where another controller
decides. Every other end is by either function.
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.domain.errors import OrchestratorError
from orchestrator.domain.run import DeviceRunState, Standing
from orchestrator.driving.stages import events as e
from orchestrator.driving.stages import orders as o
from orchestrator.driving.stages.part import WITHOUT_SESSION, DevicePart, Intent, RunnerState, Stage
from orchestrator.driving.stages.rules import Change

DONE = (DeviceRunState.COMPLETE, DeviceRunState.CANCELLED)
END = (o.TellClose, o.EndRung, o.Record, o.Warn)
"""Orders of an end with a record."""
LEFT_HINT = "the run is complete; benchfleet devices clean removes what may be left of it on the device"


def record_end(
    part: DevicePart, state: DeviceRunState, error: str | None = None, hint: str | None = None, *, helped: bool = False
) -> Change:
    """End a part with a record of the state, and close the part's session.

    `helped`: whether the rung on record, if any, has helped.
    """
    settled, orders = end_rung(part, succeeded=helped)
    ended = replace(settled, stage=Stage.ENDED, outcome=state)
    # The session first: a refused record ends the sequence, and the session would stay on another's device.
    return ended, (*_close(part), *orders, o.Record(state, error, hint))


def end_unrecorded(part: DevicePart, state: DeviceRunState, message: str, hint: str | None = None) -> Change:
    """End a part without a record, and close the part's session. `state` is the word of another controller."""
    return replace(part, stage=Stage.ENDED, outcome=state), (o.ShowEnd(state, message, hint), *_close(part))


def end_cancelled_elsewhere(part: DevicePart) -> Change:
    """End a part of a run cancelled by another command."""
    return end_unrecorded(part, DeviceRunState.CANCELLED, f"{part.name}: the run was cancelled elsewhere")


def end_unreachable(part: DevicePart, error: OrchestratorError, known: Standing) -> Change:
    """End the part of a device out of reach.

    A running device stays `running`, since the runner goes on by itself: `runs resume` finds the device again. Of a
    complete run only the log on the device is lost, and a warning says so.
    """
    if known.state is DeviceRunState.COMPLETE:
        settled, orders = end_rung(part, succeeded=False)
        ended = replace(settled, stage=Stage.ENDED, outcome=known.state)
        # No record: every trial is stored, and "complete" must not become "failed" for a log left on a disk.
        return ended, (*orders, warn_log_left(part, error))
    state = known.state
    if state is DeviceRunState.PLANNED:
        # A runner that ended was begun again, and may live: the answer was lost with the link.
        state = DeviceRunState.FAILED if part.runner is RunnerState.UNSEEN else DeviceRunState.RUNNING
    return record_end(part, state, str(error), error.hint)


def end_stranded(part: DevicePart, known: Standing) -> Change:
    """End a stranded part. A runner known to have ended, or cut off by a rescue, does not go on by itself."""
    failure = part.failure
    assert failure is not None  # a stranded device has one
    if known.state is DeviceRunState.COMPLETE:
        return end_unreachable(part, failure, known)
    if part.intent is Intent.CANCEL:
        return _end_uncancelled(part, failure, known)
    # After a lost link (retryable) the runner may have been started again, with the answer lost.
    died = part.runner is RunnerState.ENDED and not failure.retryable
    if died or (part.climb.cut_off and part.runner is not RunnerState.UNSEEN):
        hint = f"{failure.hint}; then {resume_hint(part)}" if failure.hint else resume_hint(part)
        return record_end(part, DeviceRunState.STOPPED, str(failure), hint)
    return end_unreachable(part, failure, known)


def _end_uncancelled(part: DevicePart, failure: OrchestratorError, known: Standing) -> Change:
    """End a part of a silent device. A device without a plan has no runner, and is cancelled."""
    if not known.planned:
        return record_end(part, DeviceRunState.CANCELLED)
    again = f"when the device answers again: benchfleet runs cancel {part.run}"
    hint = f"{failure.hint}; {again}" if failure.hint else again
    return record_end(part, known.state, f"{failure}; the run may go on there", hint)


def was_cancelled_elsewhere(part: DevicePart, event: e.FactsStored | e.HelpDue) -> bool:
    """Say whether the run was cancelled here after the measuring command took the run up."""
    return was_cancelled_since(part, event.known)


def was_cancelled_since(part: DevicePart, known: Standing) -> bool:
    """Say whether another command has cancelled the run on a device measured by the present command."""
    # A run found cancelled may be resumed: only a later cancel is news.
    cancelled = known.state is DeviceRunState.CANCELLED and part.found is not DeviceRunState.CANCELLED
    return part.measures and cancelled


def goes_on(part: DevicePart, recorded: DeviceRunState) -> bool:
    """Say whether a device may go on by itself after the driver has left. `recorded`: the state on record."""
    state = part.outcome or recorded
    # After the end of a runner the device was sent the rest of the plan, and may have begun again.
    return state is DeviceRunState.RUNNING or (part.runner is not RunnerState.UNSEEN and part.outcome is None)


def warn_log_left(part: DevicePart, error: OrchestratorError) -> o.Warn:
    """Return the warning about a log of a complete run left on a device's disk."""
    # The display names the device itself.
    return o.Warn(str(error).removeprefix(f"{part.name}: "), LEFT_HINT)


def end_rung(part: DevicePart, *, succeeded: bool) -> Change:
    """Return a part without a rung on record, and the order to record whether the rung has helped."""
    if part.climb.open is None:
        return part, ()
    return replace(part, climb=replace(part.climb, open=None)), (o.EndRung(succeeded),)


def resume_hint(part: DevicePart) -> str:
    """Return the command for going on with the run."""
    return f"benchfleet runs resume {part.run}"


def _close(part: DevicePart) -> tuple[o.TellClose, ...]:
    return () if part.stage in WITHOUT_SESSION else (o.TellClose(),)
