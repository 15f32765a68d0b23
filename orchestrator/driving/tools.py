"""Declare the tools of a driver: database, executor, display, planner, identity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from orchestrator.domain.blob import Blob
from orchestrator.domain.device import Device
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.values import DevicePlan
from orchestrator.driving.identity import ControllerIdentity, this_controller
from orchestrator.driving.stages.part import DevicePart
from orchestrator.execution.base import Executor
from orchestrator.reporting.base import RunDisplay
from orchestrator.store.base import Roles

_LOOK_S = 1.0
Handler = Callable[[DevicePart, Any], None]
"""Carries out one order for one device. Raises LeaseLost if the database refuses a write."""


class Planner(Protocol):
    """Make device plans, and keep the bytes for sessions to find."""

    def plan(self, device: Device, facts: Facts) -> DevicePlan:
        """Return a device's plan, with every runtime resolved and packed. May take minutes, in a thread of its own.

        Raise NoSuchRelease for a mistake of the sweep, another OrchestratorError for a device without a plan.
        """

    def keep(self, document: bytes) -> Blob:
        """Store a plan's bytes as a blob, for sessions to find by hash."""


@dataclass(frozen=True, slots=True)
class DriverTools:
    """Hold the tools of a driver. Several drivers may share an executor. A display belongs to a single run.

    `keeps_on` is asked about once a second, if given. Once it says False, the driver leaves the devices to themselves.
    `between_trials`: a driver that cancels lets the present trials end.
    """

    store: Roles
    executor: Executor
    display: RunDisplay
    planner: Planner
    identity: ControllerIdentity = field(default_factory=this_controller)
    keeps_on: Callable[[], bool] | None = None
    between_trials: bool = False

    @property
    def look_s(self) -> float | None:
        """Return the time between two looks whether the run is still wanted, None if nobody is to be asked."""
        return None if self.keeps_on is None else _LOOK_S

    def is_wanted(self) -> bool:
        """Return True while the driver is to go on."""
        return self.keeps_on is None or self.keeps_on()
