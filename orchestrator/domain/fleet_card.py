"""Hold what a lab sees of a device at a glance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from orchestrator.domain.lease import Holding
from orchestrator.domain.recovery import Quarantine
from orchestrator.domain.run import DeviceRunState


@dataclass(frozen=True, slots=True)
class DeviceInRun:
    """Hold the standing of a device in a run. `error` is the reason of a bad state."""

    run: str
    sweep: str
    state: DeviceRunState
    started_at: datetime
    finished_at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class NoisePoint:
    """Hold the usual noise of a device in a run: the median over `cells` cells, as a share of the cells' medians."""

    run: str
    started_at: datetime
    noise: float
    cells: int


@dataclass(frozen=True, slots=True)
class Reading:
    """Hold the conditions after a device's newest attempt. A value is None where the device said none.

    `at` is by the controller's clock.
    """

    run: str
    at: datetime
    temperature_c: float | None
    cpu_mhz: float | None
    throttled: bool | None


@dataclass(frozen=True, slots=True)
class FleetCard:
    """Hold a device of the database. `noise` begins with the oldest run. `regressions` counts those that stand."""

    device: str
    transport: str
    tags: Mapping[str, str]
    facts_at: datetime | None
    last: DeviceInRun | None
    reading: Reading | None
    holding: Holding | None
    quarantine: Quarantine | None
    regressions: int
    noise: tuple[NoisePoint, ...]

    @property
    def state(self) -> str:
        """Return the word for what the device does: quarantined, running, reserved, failed, stopped or idle."""
        if self.quarantine is not None:
            return "quarantined"
        if self.holding is not None and self.holding.held:
            return "reserved" if self.holding.held[0].is_reservation else "running"
        if self.last is not None and self.last.state in (DeviceRunState.FAILED, DeviceRunState.STOPPED):
            return self.last.state.value
        return "idle"
