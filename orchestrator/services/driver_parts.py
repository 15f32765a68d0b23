"""What a driver is given, what it is to do, and what it knows of each device."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from orchestrator.domain.blob import Blob
from orchestrator.domain.device import Device
from orchestrator.domain.errors import DeviceError
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan import DevicePlan
from orchestrator.domain.recovery import Rung
from orchestrator.domain.run import DeviceRunState
from orchestrator.execution.base import Executor
from orchestrator.reporting.base import RunDisplay
from orchestrator.services.tenant import Tenant, this_controller
from orchestrator.store.base import DeviceRecords, Leases, RecoveryRecords, Results, RunProgress, RunRecords


class Intent(Enum):
    """What the driver wants of every device of the run."""

    RUN = auto()
    DETACH = auto()
    RESUME = auto()
    FOLLOW = auto()
    CANCEL = auto()


NEW = (Intent.RUN, Intent.DETACH)
MEASURING = (*NEW, Intent.RESUME)
"""The others collect or end what runs, and start nothing."""


class DriverStore(DeviceRecords, RunRecords, RunProgress, Results, Leases, RecoveryRecords, Protocol):
    """The roles of the database that a driver needs."""


class Planner(Protocol):
    """Makes device plans, and keeps their bytes where sessions find them."""

    def plan(self, device: Device, facts: Facts) -> DevicePlan:
        """Return a device's plan, resolving and packing what it needs; may take minutes, runs beside the driver."""

    def keep(self, document: bytes) -> Blob:
        """Store a plan's bytes as a blob."""


@dataclass(frozen=True, slots=True)
class DriverParts:
    """What a driver works with."""

    store: DriverStore
    executor: Executor
    display: RunDisplay
    planner: Planner
    tenant: Tenant = field(default_factory=this_controller)


@dataclass(slots=True)
class Part:
    """What the driver knows of one device.

    `stopped`: its runner is known to have ended. `climbed` are the rungs that did something to the device itself;
    `rung` is the event of one whose end is not known yet. `failure` is why a rescue follows once the session has ended,
    `stranded` why one is waited for, since `stranded_at`; `heard_at` is when the device last answered. Both are
    seconds of `time.monotonic`.
    """

    device: Device
    snapshot: int | None = None
    worker_sha256: str = ""
    queued_as: DeviceRunState | None = None
    """Where it stood when it began to wait for somebody else's lease to end; None if it never had to."""
    was_cancelled: bool = False
    """Whether the run was cancelled there when this driver took it up."""
    launched: bool = False
    started: bool = False
    stopped: bool = False
    cut_off: bool = False
    """Whether a rescue may have ended what ran there, and nothing was started since."""
    spared: bool = False
    """Whether a device that was to be cycled has answered once in time."""
    fresh_log: bool = False
    restarts: int = 0
    outcome: DeviceRunState | None = None
    ended: bool = False
    taken_over: bool = False
    climbed: set[Rung] = field(default_factory=set)
    rung: tuple[int, Rung] | None = None
    failure: DeviceError | None = None
    stranded: DeviceError | None = None
    stranded_at: float = math.inf
    heard_at: float = -math.inf
