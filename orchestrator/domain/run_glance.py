"""Hold what changes while a run is under way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from orchestrator.domain.run import DeviceRunState, TrialState


@dataclass(frozen=True, slots=True)
class DeviceGlance:
    """Hold the standing of a device. `cell` is the cell of the newest attempt, in words, and `trial` its trial's key.

    `attempt` is None before the first attempt. Temperature, clock and `seen_at` are of the newest finished attempt.
    """

    device: str
    state: DeviceRunState
    error: str | None
    trials: Mapping[TrialState, int]
    attempt: int | None = None
    job: int | None = None
    cell: str | None = None
    trial: str | None = None
    seen_at: datetime | None = None
    temperature_c: float | None = None
    cpu_mhz: float | None = None


@dataclass(frozen=True, slots=True)
class FailureGlance:
    """Hold an attempt that failed or broke a condition. `reason` has the words of the device."""

    attempt: int
    device: str
    job: int
    cell: str
    trial: str
    at: datetime
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunGlance:
    """Hold the standing of a run by device, and the newest failures, the newest first."""

    run: str
    finished_at: datetime | None
    devices: tuple[DeviceGlance, ...]
    failures: tuple[FailureGlance, ...]
