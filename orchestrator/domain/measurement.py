"""Numbers as the database hands them to a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.domain.sweep import Setting


@dataclass(frozen=True, slots=True)
class Cell:
    """What a job is, wherever it ran: the coordinates that comparisons group by."""

    run: str
    device: str
    model: str
    variant: str
    runtime: str
    settings: Mapping[str, Setting]


@dataclass(frozen=True, slots=True)
class CellResult:
    """One metric of one job: one value per counted trial (p50 of sampled metrics), never pooled iterations.

    `invalid`, `failed` and `missing` count the trials that have no usable value. `size_bytes` is the artifact's.
    """

    cell: Cell
    metric: str
    trial_values: tuple[float, ...]
    invalid: int
    failed: int
    missing: int
    size_bytes: int | None
    accuracy: float | None
    rejected: str | None


@dataclass(frozen=True, slots=True)
class CellOutputs:
    """What a job's preflight computed for the first inputs: float32 values, `values_per_output` for each of `count` inputs."""

    cell: Cell
    count: int
    values_per_output: int
    data: bytes
    inputs: str
