"""Hold one metric of a cell: every attempt, and the distribution of the raw samples."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.domain.cell_details import AttemptDetails, CellDetails, Summary
from orchestrator.domain.cell_figures import CellFigure, cell_figures
from orchestrator.domain.metric import Unit, sampled_quantile


@dataclass(frozen=True, slots=True)
class Bin:
    """Hold the number of samples in [`low`, `high`), the last bin's end included. `counts` is by trial, in order."""

    low: float
    high: float
    counts: tuple[int, ...]

    @property
    def count(self) -> int:
        """Return the number of samples of all trials."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Hold the distribution of the raw samples of counted trials.

    `trials` are the trials' numbers, as the counts of each bin are ordered. Quantiles are over all samples, without an
    interval: samples of one process hang together. Too few samples for a quantile leave it None.
    """

    metric: str
    trials: tuple[int, ...]
    bins: tuple[Bin, ...]
    count: int
    p50: float | None
    p90: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class AttemptValue:
    """Hold an attempt with a metric. `value` is None without a value, `summary` without any number of the metric."""

    attempt: AttemptDetails
    value: float | None
    summary: Summary | None


@dataclass(frozen=True, slots=True)
class CellInMetric:
    """Hold one metric of a cell.

    `unsampled` says why there is no distribution, and is None beside a distribution. `commands` measure the cell again.
    """

    details: CellDetails
    metric: str
    unit: Unit
    histogram: Histogram | None
    unsampled: str | None
    commands: tuple[str, ...]

    @property
    def figures(self) -> tuple[CellFigure, ...]:
        """Return every metric of the cell."""
        return cell_figures(self.details.attempts)

    @property
    def attempts(self) -> tuple[AttemptValue, ...]:
        """Return every attempt with its value of the metric, preflights first."""
        return tuple(AttemptValue(one, *_value(one, self.metric)) for one in self.details.attempts)


def _value(attempt: AttemptDetails, metric: str) -> tuple[float | None, Summary | None]:
    own = attempt.metrics.get(metric)
    quantile = sampled_quantile(metric)
    if own is not None or quantile is None:  # a trial may have reported a number under the name of a percentile
        return (None if own is None else own.value), own
    sampled = attempt.metrics.get(quantile[0])
    if sampled is None:
        return None, None
    return (sampled.p90 if quantile[1] == "p90" else sampled.p99), sampled
