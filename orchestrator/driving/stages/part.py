"""Describe a device of a run as the driver sees the device: a stage and three small values, all frozen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from orchestrator.domain.device import Device
from orchestrator.domain.errors import DeviceError
from orchestrator.domain.recovery import Rung
from orchestrator.domain.run import DeviceRunState


class Intent(Enum):
    """Name the aim of a command for every device of a run."""

    RUN = "run"
    DETACH = "detach"
    RESUME = "resume"
    FOLLOW = "follow"
    CANCEL = "cancel"


NEW = (Intent.RUN, Intent.DETACH)
MEASURING = (*NEW, Intent.RESUME)
"""The other intents collect or end a run, and start nothing."""


class Stage(Enum):
    """Name where a part stands, between the driver and the session of a device."""

    REQUESTING = "requesting"
    QUEUED = "queued"
    CONNECTING = "connecting"
    PREPARING = "preparing"
    STARTING = "starting"
    FOLLOWING = "following"
    CLOSING = "closing"
    STRANDED = "stranded"
    RESCUING = "rescuing"
    FORGETTING = "forgetting"
    ENDED = "ended"

    @property
    def meaning(self) -> str:
        """Return the sentence for docs/driving.md."""
        return _MEANINGS[self]


_MEANINGS = {
    Stage.REQUESTING: "The driver asks the database for the lease. No session exists.",
    Stage.QUEUED: "Another holder has the device. The driver keeps a place in the queue.",
    Stage.CONNECTING: "A session connects, starts the worker and reports the facts.",
    Stage.PREPARING: "The plan is being made, beside the driver. The session waits.",
    Stage.STARTING: "The device has been sent a plan. No runner has answered yet.",
    Stage.FOLLOWING: "The session reads the event log.",
    Stage.CLOSING: "The session was told to close. A rescue follows.",
    Stage.STRANDED: "The session ended too early. The driver has not decided yet whether to help.",
    Stage.RESCUING: "A new session reboots the device, or cycles its power.",
    Stage.FORGETTING: "The database has the whole log. The device deletes its copy.",
    Stage.ENDED: "The driver expects nothing more of the device.",
}

# Without a session a device cannot answer, and does not count as a possible witness of the network.
WITHOUT_SESSION = (Stage.REQUESTING, Stage.QUEUED, Stage.STRANDED, Stage.ENDED)
WITH_SESSION = tuple(stage for stage in Stage if stage not in WITHOUT_SESSION)


class Hold(Enum):
    """Name the kind of lease held by the driver.

    Under a `SHARED` lease the driver may collect and cancel, and start no runner.
    """

    NONE = "none"
    SHARED = "shared"
    EXCLUSIVE = "exclusive"
    LOST = "lost"


class RunnerState(Enum):
    """Name the state of the runner on a device, as known to the driver.

    `UNSEEN`: the driver has met no runner. `ENDED`: the runner ended before the plan did.
    """

    UNSEEN = "unseen"
    ALIVE = "alive"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Climb:
    """Hold the account of the recovery ladder for a device within a command.

    `rungs`: the rescues with an effect on the device. `open`: a rung on record, still without an end. `spared` counts
    the power cycles called off because the device answered. `restarts` counts the runners started anew since the last
    rescue. `cut_off`: a rescue may have ended the runner, and no runner was started since. `on_new_log`: a runner was
    started on a new log since the last rescue.
    """

    rungs: frozenset[Rung] = frozenset()
    open: Rung | None = None
    spared: int = 0
    restarts: int = 0
    cut_off: bool = False
    on_new_log: bool = False


@dataclass(frozen=True, slots=True)
class DevicePart:
    """Hold a device's part of a run.

    `found`: the state of the device when the driver took the run up. `failure`: the error behind a closing, stranded or
    rescuing stage. `stranded_at`: seconds of the driver's clock. `outcome`: the recorded state, in the stages
    forgetting and ended.
    """

    run: str
    intent: Intent
    device: Device
    found: DeviceRunState = DeviceRunState.PLANNED
    stage: Stage = Stage.REQUESTING
    hold: Hold = Hold.NONE
    runner: RunnerState = RunnerState.UNSEEN
    climb: Climb = Climb()
    failure: DeviceError | None = None
    stranded_at: float = math.inf
    outcome: DeviceRunState | None = None

    @property
    def name(self) -> str:
        """Return the device's name."""
        return self.device.name

    @property
    def ended(self) -> bool:
        """Say whether the part has ended."""
        return self.stage is Stage.ENDED

    @property
    def measures(self) -> bool:
        """Say whether the command may start a runner."""
        return self.intent in MEASURING

    @property
    def begins(self) -> bool:
        """Say whether the device gets a new plan, rather than a recorded plan."""
        # After a rescue the recorded plan goes on, so that nothing is measured twice.
        return self.intent in NEW and not self.climb.rungs

    @property
    def wants_health(self) -> bool:
        """Say whether the device's health decides on the device's use.

        After a rescue the limits of health are not asked again: the device's clock may not be set yet.
        """
        return self.intent in NEW and not self.climb.cut_off
