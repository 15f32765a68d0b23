"""Define the messages between a device session and the driver: commands and reports. All values are picklable."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.domain.blob import Blob
from orchestrator.domain.cleaning import CleanOrder, Item, StockedRun
from orchestrator.domain.errors import (
    DeviceBusy,
    DeviceDiskFull,
    DeviceError,
    NoProgress,
    NoPython,
    RebootFailed,
    StaleLease,
    SurvivorLeft,
)
from orchestrator.domain.facts import Facts
from orchestrator.domain.lease import StartLease
from orchestrator.domain.log_bounds import UNBOUNDED, LogBounds
from orchestrator.domain.recovery import Rung


@dataclass(frozen=True, slots=True)
class SessionId:
    """Name a session: the run (None for a probe or a cleaning), the device, and an unrepeated key.

    A device has a new session after each rescue. Sessions of several runs share an executor.
    """

    run: str | None
    device: str
    key: str


def new_session(run: str | None, device: str) -> SessionId:
    """Return the name of a new session."""
    # Random rather than counted: controllers that share a gateway have no common counter.
    return SessionId(run, device, secrets.token_hex(8))


class Step(StrEnum):
    """Name the steps of a session. Errors name the step."""

    CONNECT = "connect"
    START_WORKER = "start worker"
    FACTS = "facts"
    WAIT = "wait"
    UPLOAD = "upload"
    START = "start"
    FOLLOW = "follow"
    CANCEL = "cancel"
    FORGET = "forget"
    CLEAN = "clean"
    RECOVER = "recover"


@dataclass(frozen=True, slots=True)
class SpentRetries:
    """Hold how often a trial has failed, or was invalid, in one log."""

    log_id: str
    trial: str
    failed: int
    invalid: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """Order to start a plan on the device, and to follow the log.

    `blobs` are all blobs of the plan, the plan included. `skip` are the trials to leave out. `spent` are the retries
    that others have taken already, by the log that tells of them. The log is followed from
    `after_seq` of `log_id` on. With `detach` the session ends after the start. With `waits` the start is tried again
    while a run of another database holds the device. `bounds` come from the plan.
    """

    run: str
    plan_sha256: str
    blobs: tuple[Blob, ...]
    skip: tuple[str, ...] = ()
    spent: tuple[SpentRetries, ...] = ()
    log_id: str | None = None
    after_seq: int = 0
    detach: bool = False
    lease: StartLease | None = None
    waits: bool = False
    bounds: LogBounds = UNBOUNDED


@dataclass(frozen=True, slots=True)
class Attachment:
    """Order to follow the device's log of a run, without a start. Without a log the following ends at once."""

    run: str
    log_id: str | None = None
    after_seq: int = 0
    bounds: LogBounds = UNBOUNDED


@dataclass(frozen=True, slots=True)
class Forget:
    """Allow the device to delete a log, because the database has all records up to `last_seq`.

    With `and_close` the session ends then. Otherwise the session waits for the next command.
    """

    run: str
    log_id: str
    last_seq: int
    and_close: bool = True


@dataclass(frozen=True, slots=True)
class Cancel:
    """Order to end the run on the device. Finished trials stay. `between_trials`: the present trial ends as usual."""

    run: str
    between_trials: bool = False


STORED_BYTES_MIN = 1 << 20
"""How many bytes must be stored before a session is told: most runs never report as many, and cost no command."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Tell how many bytes of the reported records are stored: the session may report more."""

    size: int


@dataclass(frozen=True, slots=True)
class Close:
    """Order to leave the device. A runner there goes on."""


@dataclass(frozen=True, slots=True)
class TakeStock:
    """Ask for the runs in the device's state folder."""


@dataclass(frozen=True, slots=True)
class Clean:
    """Order to remove items from the device, except for items in use."""

    order: CleanOrder


Command = Assignment | Attachment | Stored | Forget | Cancel | Close | TakeStock | Clean


@dataclass(frozen=True, slots=True)
class StepBegan:
    """Report the beginning of a step. `detail` is for people (bytes still to upload, attempt number)."""

    device: str
    step: Step
    detail: str = ""


@dataclass(frozen=True, slots=True)
class FactsReported:
    """Report the worker's answer with the device's facts. The session now waits for a command."""

    device: str
    facts: Facts
    worker_sha256: str


@dataclass(frozen=True, slots=True)
class PlanStarted:
    """Report the start of a plan. The runner is alive or done, also if the device had the plan already."""

    device: str
    run: str
    log_id: str


@dataclass(frozen=True, slots=True)
class RecordsArrived:
    """Report records of a run's event log: whole lines as written by the device, `first_seq` to `last_seq`."""

    device: str
    run: str
    log_id: str
    first_seq: int
    last_seq: int
    lines: bytes  # unparsed, since the checksums cover the bytes as the device wrote them


@dataclass(frozen=True, slots=True)
class FollowEnded:
    """Report the end of a log. `state` is the worker's LogState of the run.

    An unknown run has no `log_id` and no `last_seq`. `reason` says why the runner stopped, if known to the device.
    """

    device: str
    run: str
    state: str  # no enum: a newer worker may have a word that this controller does not know
    log_id: str | None
    last_seq: int | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class StockTaken:
    """Report the runs in the device's state folder."""

    device: str
    runs: tuple[StockedRun, ...]


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Report a cleaning: the items removed (in a dry run: to be removed), and the items kept."""

    device: str
    removed: tuple[Item, ...]
    kept: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class RungClimbed:
    """Report a climbed rung of the recovery ladder, with the reason, and whether the device was back."""

    device: str
    rung: Rung
    reason: str
    succeeded: bool
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """Report the end of the session. `error` is the reason of an unexpected end."""

    device: str
    error: DeviceError | None = None


Report = (
    StepBegan
    | FactsReported
    | PlanStarted
    | RecordsArrived
    | FollowEnded
    | StockTaken
    | Cleaned
    | RungClimbed
    | SessionEnded
)


@dataclass(frozen=True, slots=True)
class SessionReport:
    """Hold a report with the reporting session. The executor adds the session: no session can name itself wrongly."""

    session: SessionId
    report: Report


# Errors made of the device's own words, and the steps before its first word: a rescue is only for a silent device.
_ITS_OWN_ANSWERS = (NoPython, DeviceBusy, DeviceDiskFull, NoProgress, StaleLease, RebootFailed, SurvivorLeft)
_BEFORE_AN_ANSWER = (Step.CONNECT, Step.START_WORKER)


def is_answer(report: Report) -> bool:
    """Return True if a report is a sign of life from the device itself."""
    match report:
        case StepBegan():
            return report.step not in _BEFORE_AN_ANSWER
        case RungClimbed():
            return report.succeeded
        case SessionEnded():
            return isinstance(report.error, _ITS_OWN_ANSWERS)
        case _:
            return True
