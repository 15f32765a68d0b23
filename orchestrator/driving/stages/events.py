"""List the events for changes of a device's stage. An event carries every outside fact of the decision.

`known` is the device's standing in the database, read when the event is made. Times are seconds of the driver's clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from orchestrator.domain.errors import DeviceError, LeaseLost, OrchestratorError
from orchestrator.domain.recovery import Rung
from orchestrator.domain.run import DeviceRunState, Standing


class Network(Enum):
    """Name the state of the controller's network, as told by the other devices of a run.

    Local devices do not count: a local device answers without a network.
    """

    WITNESSED = "another device has answered since"
    UNDECIDED = "another device may still answer"
    SILENT = "no other device answers"
    ALONE = "no other device answers, and the run has no other"


@dataclass(frozen=True, slots=True)
class LeaseGranted:
    """The database granted the lease. `previous` names the run's former controllers."""

    exclusive: bool
    known: Standing
    previous: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LeaseQueued:
    """The device is in use. `place` describes the place in the queue, for people."""

    place: str


@dataclass(frozen=True, slots=True)
class LeaseRefused:
    """The device may not be used: by its lease, or because of a quarantine."""

    error: DeviceError
    known: Standing


@dataclass(frozen=True, slots=True)
class LeaseTaken:
    """The lease is lost: another controller has taken the device. `state` is the device's state on record."""

    lost: LeaseLost
    state: DeviceRunState


@dataclass(frozen=True, slots=True)
class Unusable:
    """The device cannot be used: unfit, without a plan, or with an unstorable log."""

    error: OrchestratorError


@dataclass(frozen=True, slots=True)
class FactsStored:
    """The device answered, and the facts are in the database."""

    known: Standing


@dataclass(frozen=True, slots=True)
class PlanRecorded:
    """The plan of the device is in the database. `trials` may be 0."""

    trials: int


@dataclass(frozen=True, slots=True)
class RunnerAlive:
    """The device took the plan, or had the plan already."""


@dataclass(frozen=True, slots=True)
class RungReported:
    """A session has climbed a rung: the rung of the launch, or a rung of the session's choice."""

    rung: Rung
    reason: str
    succeeded: bool
    took_s: float


class LogEnd(Enum):
    """Name the end of a log, as told by the device. `GONE` also stands for words of an unknown worker."""

    FINISHED = "finished"
    STOPPED = "stopped"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class LogEnded:
    """The log has ended.

    `stored`: the database has the whole log. `missing`: the plan has trials without a result, or the log lacks an end,
    and the command may start a runner. `reason` is why the runner stopped, where the device knows.
    """

    end: LogEnd
    reason: str | None
    known: Standing
    stored: bool = False
    missing: bool = False


@dataclass(frozen=True, slots=True)
class SessionOver:
    """The session is over. `error` is None if the session closed as ordered."""

    error: DeviceError | None
    at: float


@dataclass(frozen=True, slots=True)
class HelpDue:
    """The driver looks at a stranded device, again after each possibly relevant change."""

    network: Network
    known: Standing


@dataclass(frozen=True, slots=True)
class RescueRefused:
    """The executor could not launch the session of a rescue."""

    error: OrchestratorError
    known: Standing


Event = (
    LeaseGranted
    | LeaseQueued
    | LeaseRefused
    | LeaseTaken
    | Unusable
    | FactsStored
    | PlanRecorded
    | RunnerAlive
    | RungReported
    | LogEnded
    | SessionOver
    | HelpDue
    | RescueRefused
)
