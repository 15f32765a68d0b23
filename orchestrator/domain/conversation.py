"""What a device session tells its driver, and what the driver tells it; all picklable values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from orchestrator.domain.blob import Blob
from orchestrator.domain.cleaning import CleanOrder, StockedRun, Thing
from orchestrator.domain.errors import DeviceBusy, DeviceDiskFull, DeviceError, NoPython, RebootFailed, StaleLease
from orchestrator.domain.facts import Facts
from orchestrator.domain.lease import StartLease
from orchestrator.domain.recovery import Rung


class Step(StrEnum):
    """Where a session is; errors name it."""

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
class Assignment:
    """What to run: the plan, every blob that it needs (the plan too), the trials to leave out, where to follow on.

    `waits`: try again and again while another run, of which this database does not know, holds the device.
    """

    run: str
    plan_sha256: str
    blobs: tuple[Blob, ...]
    skip: tuple[str, ...] = ()
    log_id: str | None = None
    after_seq: int = 0
    detach: bool = False
    lease: StartLease | None = None
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Attachment:
    """Follow whatever log the device has of a run, without starting anything; ends at once where it has none."""

    run: str
    log_id: str | None = None
    after_seq: int = 0


@dataclass(frozen=True, slots=True)
class Forget:
    """The database has the whole log up to `last_seq`: the device may delete it. Then the session ends, or waits."""

    run: str
    log_id: str
    last_seq: int
    and_close: bool = True


@dataclass(frozen=True, slots=True)
class Cancel:
    """End the run on the device; what is finished stays."""

    run: str


@dataclass(frozen=True, slots=True)
class Close:
    """Nothing more: leave the device, whatever runs there goes on."""


@dataclass(frozen=True, slots=True)
class TakeStock:
    """Say which runs lie on the device."""


@dataclass(frozen=True, slots=True)
class Clean:
    """Remove from the device what is ordered and not in use."""

    order: CleanOrder


Command = Assignment | Attachment | Forget | Cancel | Close | TakeStock | Clean


@dataclass(frozen=True, slots=True)
class StepBegan:
    """A session entered a step; `detail` is for people (bytes still to upload, attempt number)."""

    device: str
    step: Step
    detail: str = ""


@dataclass(frozen=True, slots=True)
class FactsReported:
    """The worker answered; the session now waits for a command."""

    device: str
    facts: Facts
    worker_sha256: str


@dataclass(frozen=True, slots=True)
class RunnerStarted:
    """The device took the plan (or already had it) and its runner is alive or done."""

    device: str
    run: str
    log_id: str


@dataclass(frozen=True, slots=True)
class RecordsArrived:
    """Whole lines of a run's event log, `first_seq` to `last_seq`, as the device wrote them."""

    device: str
    run: str
    log_id: str
    first_seq: int
    last_seq: int
    lines: bytes


@dataclass(frozen=True, slots=True)
class FollowEnded:
    """Nothing more will come: `state` is the device's RunState; an unknown run has no `log_id` and no `last_seq`.

    `reason` is why the runner stopped, where the device knows.
    """

    device: str
    run: str
    state: str
    log_id: str | None
    last_seq: int | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class StockTaken:
    """The runs that lie on the device."""

    device: str
    runs: tuple[StockedRun, ...]


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What went, or would go in a dry run, and what stays."""

    device: str
    removed: tuple[Thing, ...]
    kept: tuple[Thing, ...]


@dataclass(frozen=True, slots=True)
class RungClimbed:
    """A rung of the recovery ladder is behind the session: why it was climbed, and whether the device was back."""

    device: str
    rung: Rung
    reason: str
    succeeded: bool
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The session is over; `error` says why if it did not end as told."""

    device: str
    error: DeviceError | None = None


Report = (
    StepBegan
    | FactsReported
    | RunnerStarted
    | RecordsArrived
    | FollowEnded
    | StockTaken
    | Cleaned
    | RungClimbed
    | SessionEnded
)


_ITS_OWN_ANSWERS = (NoPython, DeviceBusy, DeviceDiskFull, StaleLease, RebootFailed)
_BEFORE_AN_ANSWER = (Step.CONNECT, Step.START_WORKER)


def is_answer(report: Report) -> bool:
    """Say whether a report is a sign that the device itself is there."""
    match report:
        case StepBegan():
            return report.step not in _BEFORE_AN_ANSWER
        case RungClimbed():
            return report.succeeded
        case SessionEnded():
            return isinstance(report.error, _ITS_OWN_ANSWERS)
        case _:
            return True
