"""Hold one cell of a run in full: what was planned, and every attempt with the conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchestrator.domain.measurement import Cell
from orchestrator.domain.run import TrialState


@dataclass(frozen=True, slots=True)
class Summary:
    """Hold one metric of an attempt, in the metric's unit. A percentile is None for too few samples."""

    metric: str
    value: float | None
    samples: int | None
    p50_low: float | None
    p50_high: float | None
    p90: float | None
    p99: float | None
    smallest: float | None
    largest: float | None
    source: str | None


@dataclass(frozen=True, slots=True)
class PowerAccount:
    """Hold how the power of an attempt was measured, or the reason why there is no figure."""

    source: str | None
    rate_hz: float | None
    idle_w: float | None
    reason: str | None
    energy_reason: str | None
    caution: str | None


@dataclass(frozen=True, slots=True)
class AttemptDetails:
    """Hold an attempt at a trial. `before` and `after` are the conditions, as docs/worker-protocol.md names them.

    `failure` has kind and words of a failed attempt. `started_at` and `finished_at` are by the device's clock.
    `metrics` are by name, and so are the reasons of `absent` metrics. `stderr` is the end of a failed trial's
    standard error.
    """

    id: int
    trial: str
    kind: str
    trial_index: int
    trial_state: TrialState
    ordinal: int
    outcome: str | None
    counted: bool
    invalid: tuple[str, ...]
    failure: str | None
    stderr: str | None
    started_at: datetime | None
    finished_at: datetime | None
    duration_ns: int | None
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    exclusive: bool | None
    runtime: Mapping[str, Any]
    metrics: Mapping[str, Summary]
    power: PowerAccount | None
    absent: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CellDetails:
    """Hold a cell of a run. `job` and `series` are the database's ids.

    `skipped` says why trials were skipped. `earlier` and `later` are the jobs of the series' neighbouring runs.
    `limits` are the plan's limits of conditions, by key.
    """

    job: int
    series: int | None
    cell: Cell
    label: str
    artifact_sha256: str
    artifact_format: str | None
    size_bytes: int | None
    precision: str
    made: str
    parent: str | None
    attempts: tuple[AttemptDetails, ...]
    trials: Mapping[TrialState, int]
    skipped: str | None
    earlier: int | None
    later: int | None
    limits: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class RunJob:
    """Hold the database's ids of a cell of a run, with the words for the cell."""

    job: int
    series: int | None
    device: str
    model: str
    label: str


@dataclass(frozen=True, slots=True)
class TrialSamples:
    """Hold the raw samples of a counted attempt in order, in the metric's unit, each the mean of `batch` calls."""

    attempt: int
    trial_index: int
    batch: int
    samples: Any
