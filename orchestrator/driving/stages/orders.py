"""List the orders of a device's machine. The driver carries orders out in sequence.

If the lease is lost, the database refuses an order. The rest of the sequence is not carried out then.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.domain.recovery import Rescue, Rung
from orchestrator.domain.run import DeviceRunState, Offset


@dataclass(frozen=True, slots=True)
class Connect:
    """Launch the first session."""


@dataclass(frozen=True, slots=True)
class LaunchRescue:
    """Launch a session whose first task is the rescue."""

    rescue: Rescue


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make the device's plan."""


@dataclass(frozen=True, slots=True)
class AssignPlan:
    """Send the plan recorded just now."""


@dataclass(frozen=True, slots=True)
class AssignRest:
    """Send the recorded plan without the trials done. The session reads the log from `offset` on."""

    offset: Offset


@dataclass(frozen=True, slots=True)
class Attach:
    """Let the session read the log from `offset` on."""

    offset: Offset


@dataclass(frozen=True, slots=True)
class TellCancel:
    """Let the session end the run on the device."""


@dataclass(frozen=True, slots=True)
class TellForget:
    """Let the device delete the log up to `offset`. Then the session ends, or waits for the next command."""

    offset: Offset
    and_close: bool


@dataclass(frozen=True, slots=True)
class TellClose:
    """Let the session end. The runner on the device goes on."""


@dataclass(frozen=True, slots=True)
class Record:
    """Write the state of the device, then show the device's end."""

    state: DeviceRunState
    error: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class ShowEnd:
    """Show the end of the device, without a record."""

    state: DeviceRunState
    error: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class ShowStep:
    """Show a step of the device."""

    step: str
    detail: str


@dataclass(frozen=True, slots=True)
class Warn:
    """Show a warning."""

    message: str
    hint: str | None


@dataclass(frozen=True, slots=True)
class BeginRung:
    """Write the begin of a rung, and show the reason."""

    rung: Rung
    reason: str


@dataclass(frozen=True, slots=True)
class EndRung:
    """Write whether the rung on record has helped, and the rung actually climbed, if another."""

    succeeded: bool
    turned_out: Rung | None = None


@dataclass(frozen=True, slots=True)
class NoteRung:
    """Write a rung climbed by the session's own choice."""

    rung: Rung
    reason: str
    took_s: float
    succeeded: bool


@dataclass(frozen=True, slots=True)
class SetQuarantine:
    """Write the device's quarantine, and warn of the quarantine."""

    reason: str


Order = (
    Connect
    | LaunchRescue
    | Prepare
    | AssignPlan
    | AssignRest
    | Attach
    | TellCancel
    | TellForget
    | TellClose
    | Record
    | ShowEnd
    | ShowStep
    | Warn
    | BeginRung
    | EndRung
    | NoteRung
    | SetQuarantine
)

WRITES = (Record, BeginRung, EndRung, NoteRung, SetQuarantine)
"""Orders with a write. None is given after a take-over."""
