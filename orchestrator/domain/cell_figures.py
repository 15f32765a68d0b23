"""Give every metric of a cell with its value over trials, or with the reason for a missing value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from orchestrator.domain.cell_details import AttemptDetails
from orchestrator.domain.metric import METRICS, Metric, metric_named
from orchestrator.domain.plan.values import TrialKind


@dataclass(frozen=True, slots=True)
class CellFigure:
    """Hold a metric of a cell over the counted trials of one kind, in the metric's unit.

    `value` is the median, None without any value. `reason` then says why, and is None beside a value.
    """

    metric: Metric
    kind: TrialKind
    trials: int
    value: float | None
    lowest: float | None
    highest: float | None
    reason: str | None


def cell_figures(attempts: Iterable[AttemptDetails]) -> tuple[CellFigure, ...]:
    """Return each metric of the counted measure trials, and the metrics of the preflight that no measure trial has.

    Registered metrics come first, in the order of the registry.
    """
    counted = [one for one in attempts if one.counted]
    figures: dict[str, CellFigure] = {}
    for kind in (TrialKind.MEASURE, TrialKind.PREFLIGHT):
        trials = [one for one in counted if one.kind == kind.value]
        for name in sorted({name for one in trials for name in (*one.metrics, *one.absent)}):
            figures.setdefault(name, _figure(name, kind, trials))
    ranks = {name: rank for rank, name in enumerate(METRICS)}
    return tuple(sorted(figures.values(), key=lambda one: ranks.get(one.metric.name, len(ranks))))


def _figure(name: str, kind: TrialKind, trials: Sequence[AttemptDetails]) -> CellFigure:
    found = (one.metrics[name].value for one in trials if name in one.metrics)
    values = [value for value in found if value is not None]
    # Trials with and without a value differ by chance at most: a value needs no reason beside it.
    reasons = [one.absent[name] for one in trials if name in one.absent] if not values else []
    return CellFigure(
        metric_named(name),
        kind,
        len(values),
        median(values) if values else None,
        min(values, default=None),
        max(values, default=None),
        reasons[0] if reasons else None,
    )
