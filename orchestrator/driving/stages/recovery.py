"""Decide on the next rung of the recovery ladder for a device, and whether now; pure.

Only a device under an exclusive lease is restarted, rebooted, cycled or quarantined. A collecting or cancelling command
does neither. See `orchestrator.domain.recovery` and docs/decisions/0012-recovery-ladder.md.
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.domain.errors import (
    DeviceError,
    DeviceQuarantined,
    GatewayLost,
    LinkLost,
    NoAnswer,
    NoProgress,
    PowerSwitchFailed,
    RebootFailed,
    RunnerStopped,
)
from orchestrator.domain.moments import noted
from orchestrator.domain.recovery import Quarantine, Rung, next_rescue
from orchestrator.driving.stages.events import Network
from orchestrator.driving.stages.part import Climb, DevicePart, Hold, Intent

ANSWERS = (RunnerStopped, NoProgress, RebootFailed)
"""Errors that the device itself tells."""
RESCUABLE = (*ANSWERS, NoAnswer, LinkLost, PowerSwitchFailed)
"""Errors that another boot may fix. A wrong key, a full disk or a broken network path is not among them."""


def next_rung(part: DevicePart, failure: DeviceError) -> Rung | None:
    """Return the next rung against a failure, or None with no rung left to try."""
    # A lost gateway says nothing about the device, though it is a lost link by class.
    may_help = isinstance(failure, RESCUABLE) and not isinstance(failure, GatewayLost)
    if not (part.measures and part.hold is Hold.EXCLUSIVE and may_help):
        return None
    recovery = part.device.recovery
    # To a device that answers, a command to reboot can still be given. A silent device can only be cycled.
    rescue = next_rescue(recovery, part.climb.rungs, answers=not isinstance(failure, NoAnswer))
    # A trial may kill its runner, so that a dead runner says nothing against the device.
    bars = recovery.quarantine and not isinstance(failure, RunnerStopped)
    return rescue or (Rung.QUARANTINE if bars else None)


def wants_rescue(part: DevicePart, failure: DeviceError) -> bool:
    """Say whether a reboot or a power cycle against a failure is left."""
    return next_rung(part, failure) not in (None, Rung.QUARANTINE)


def needs_witness(failure: DeviceError, network: Network) -> bool:
    """Say whether the other devices of the run must be heard before a silent device is helped."""
    return not isinstance(failure, ANSWERS) and network is Network.UNDECIDED


def is_believed(part: DevicePart, failure: DeviceError, rung: Rung, network: Network) -> bool:
    """Say whether the device has failed, rather than the controller's network.

    The only networked device of a run has no witness. Such a device may be rescued. A quarantine also asks for a
    rescue without success.
    """
    if isinstance(failure, ANSWERS) or network is Network.WITNESSED:
        return True
    was_rescued = part.climb.cut_off and isinstance(failure, NoAnswer)
    return network is Network.ALONE and (rung is not Rung.QUARANTINE or was_rescued)


def has_restart_left(part: DevicePart) -> bool:
    """Say whether a restart of the runner is left to try.

    A runner failing again on a new log is left to the next command.
    """
    allowed = part.device.recovery.restarts_max + _is_due(part)
    return not part.climb.on_new_log and part.climb.restarts < allowed


def is_recovery(part: DevicePart) -> bool:
    """Say whether the next restart is a rung, rather than the command's own start."""
    return part.climb.restarts >= _is_due(part)


def _is_due(part: DevicePart) -> bool:
    """Say whether a first start is no recovery: a resume asks for a start, and a start follows each rescue."""
    return part.intent is Intent.RESUME or bool(part.climb.rungs)


def rescued(climb: Climb, *, spared: bool) -> Climb:
    """Return the account after a rescue.

    A device with an answer before the power was cut may be cycled once more, the first time.
    """
    if not spared:
        return replace(climb, cut_off=True)
    # Only the first time: a device that comes and goes would else be cycled for ever.
    rungs = climb.rungs - {Rung.POWER_CYCLE} if climb.spared == 0 else climb.rungs
    return replace(climb, rungs=rungs, spared=climb.spared + 1)


def kept_out(quarantine: Quarantine) -> DeviceQuarantined:
    """Return the error of a device in quarantine."""
    since = noted(quarantine.since)
    words = f"in quarantine since {since}, by {quarantine.author}: {quarantine.reason}"
    return DeviceQuarantined(words, readmit_hint(quarantine), device=quarantine.device)


def readmit_hint(quarantine: Quarantine) -> str:
    """Return the hint with the command for ending a quarantine."""
    return f"once it is well again: benchfleet devices readmit {quarantine.device}"
