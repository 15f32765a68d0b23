"""Hold the distribution of a cell's raw samples, for drawings and their tables."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DrawnTrial:
    """Hold the samples of a trial: each `step`-th of `samples` samples, each the mean of `batch` calls.

    `quantiles` are the values at equal shares from 0 to 1. `counts` are by bin.
    """

    attempt: int
    trial_index: int
    batch: int
    samples: int
    step: int
    values: tuple[int, ...]
    quantiles: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CellSamples:
    """Hold the samples of a cell's counted trials in a metric.

    `edges` are those of the bins, one more than bins. The last bin is wider: it has the rest. `pruned` says who deleted
    the samples, where there are none.
    """

    job: int
    metric: str
    edges: tuple[float, ...]
    trials: tuple[DrawnTrial, ...]
    pruned: str | None = None
