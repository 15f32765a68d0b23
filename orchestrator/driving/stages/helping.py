"""List the rules of a device in need of help: stranded, or under a rescue."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.domain.errors import DeviceError
from orchestrator.domain.recovery import Rescue, Rung
from orchestrator.domain.run import DeviceRunState
from orchestrator.driving.stages import events as e
from orchestrator.driving.stages import orders as o
from orchestrator.driving.stages import recovery
from orchestrator.driving.stages.endings import (
    END,
    end_cancelled_elsewhere,
    end_rung,
    end_stranded,
    resume_hint,
    was_cancelled_elsewhere,
)
from orchestrator.driving.stages.part import DevicePart, Stage
from orchestrator.driving.stages.rules import Change, Table

NO_WITNESS = "no other device of the run answers over the network now, so this one is neither cycled nor quarantined"

RULES = Table()


# First, before any rung: whoever cancelled the run does not want the device rebooted for it.
@RULES.rule(e.HelpDue, (Stage.STRANDED,), Stage.ENDED, (o.ShowEnd,), was_cancelled_elsewhere)
def _leave_cancelled_stranded(part: DevicePart, event: e.HelpDue) -> Change:
    return end_cancelled_elsewhere(part)


def is_beyond_help(part: DevicePart, event: e.HelpDue) -> bool:
    """Say whether the run is complete here, or no rung is left to try."""
    return event.known.state is DeviceRunState.COMPLETE or recovery.next_rung(part, _failure(part)) is None


@RULES.rule(e.HelpDue, (Stage.STRANDED,), Stage.ENDED, END, is_beyond_help)
def _abandon(part: DevicePart, event: e.HelpDue) -> Change:
    return end_stranded(part, event.known)


def must_wait(part: DevicePart, event: e.HelpDue) -> bool:
    """Say whether the device is silent, and another device may still answer."""
    return recovery.needs_witness(_failure(part), event.network)


@RULES.rule(e.HelpDue, (Stage.STRANDED,), None, (), must_wait)
def _wait(part: DevicePart, event: e.HelpDue) -> Change:
    return part, ()


def is_not_believed(part: DevicePart, event: e.HelpDue) -> bool:
    """Say whether the controller's network may be down."""
    failure = _failure(part)
    rung = recovery.next_rung(part, failure)
    return rung is not None and not recovery.is_believed(part, failure, rung, event.network)


@RULES.rule(e.HelpDue, (Stage.STRANDED,), Stage.ENDED, (o.Warn, *END), is_not_believed)
def _blame_network(part: DevicePart, event: e.HelpDue) -> Change:
    hint = f"is it this side's network? when it is back: {resume_hint(part)}"
    ended, orders = end_stranded(part, event.known)
    return ended, (o.Warn(NO_WITNESS, hint), *orders)


def is_to_be_barred(part: DevicePart, event: e.HelpDue) -> bool:
    """Say whether quarantine is the only rung left."""
    return recovery.next_rung(part, _failure(part)) is Rung.QUARANTINE


@RULES.rule(e.HelpDue, (Stage.STRANDED,), Stage.ENDED, (o.SetQuarantine, *END), is_to_be_barred)
def _bar(part: DevicePart, event: e.HelpDue) -> Change:
    settled, before = end_rung(part, succeeded=False)
    ended, orders = end_stranded(settled, event.known)
    return ended, (*before, o.SetQuarantine(str(part.failure)), *orders)


@RULES.rule(e.HelpDue, (Stage.STRANDED,), Stage.RESCUING, (o.EndRung, o.BeginRung, o.LaunchRescue))
def _rescue(part: DevicePart, event: e.HelpDue) -> Change:
    failure = _failure(part)
    rung = recovery.next_rung(part, failure)
    assert rung is not None
    settled, before = end_rung(part, succeeded=False)
    # A rescue gives the runner its restarts back, and a fresh start after another boot is no repeated failure.
    climb = replace(settled.climb, rungs=settled.climb.rungs | {rung}, open=rung, restarts=0, on_new_log=False)
    # A silent device may have come back meanwhile: the session then touches nothing.
    rescue = Rescue(rung, if_silent=not isinstance(failure, recovery.ANSWERS))
    # On record before the device is touched: the write fails if the lease is lost, and ends the sequence.
    orders = (*before, o.BeginRung(rung, str(failure)), o.LaunchRescue(rescue))
    return replace(settled, stage=Stage.RESCUING, climb=climb), orders


@RULES.rule(e.RescueRefused, (Stage.RESCUING,), Stage.ENDED, END)
def _abandon_unhelped(part: DevicePart, event: e.RescueRefused) -> Change:
    ended, orders = end_stranded(part, event.known)
    return ended, (o.Warn(f"it could not be helped: {event.error}", event.error.hint), *orders)


def _failure(part: DevicePart) -> DeviceError:
    assert part.failure is not None  # a stranded device has one
    return part.failure
