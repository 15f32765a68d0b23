"""Compose figures of runs and series from the same values that tables show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.expansion import model_in
from orchestrator.domain.figure import Interval, IntervalsFigure, Line, LinesFigure, Moment, Spot, SpotsFigure
from orchestrator.domain.measurement import CellResult
from orchestrator.domain.metric import Direction, Metric, is_accuracy, metric_named
from orchestrator.domain.nearest import all_known
from orchestrator.domain.series_history import SeriesHistory
from orchestrator.services.history.over_time import HistoryRequest, series_over_time
from orchestrator.services.results.report import levels_of
from orchestrator.services.runs.show import require_run

if TYPE_CHECKING:
    from orchestrator.services.base import HasRecords


def intervals_figure(run: str, metric: str, wiring: HasRecords) -> IntervalsFigure:
    """Return the cells of a run in one metric, with intervals over trials.

    Raise ConfigError for an unknown run, and where no trial has the metric.
    """
    named, run = metric_named(metric), require_run(wiring.store.runs, run).header.run
    values = _values(run, named, wiring)
    rows = tuple(Interval(label, *value) for label, value in values.items() if value is not None)
    if not rows:
        raise _nothing(run, metric, wiring)
    return IntervalsFigure(f"run {run}", named.name, named.unit, rows, len(values) - len(rows))


def history_figure(request: HistoryRequest, wiring: HasRecords) -> LinesFigure:
    """Return series over time. Raise the errors of `series_over_time`."""
    found = series_over_time(request, wiring)
    lines = tuple(_line(one) for one in found)
    title = f"{len(found)} series over time" if len(found) > 1 else f"{found[0].series.label} over time"
    return LinesFigure(title, found[0].metric, found[0].unit, lines)


def _line(history: SeriesHistory) -> Line:
    return Line(
        history.series.label,
        tuple(Moment(point.started_at, point.value, point.low, point.high) for point in history.points),
        tuple(step.at for step in history.steps),
        None if history.baseline is None else history.baseline.value,
    )


def pareto_figure(run: str, x: str, y: str, wiring: HasRecords) -> SpotsFigure:
    """Return the cells of a run by two metrics, with the front of each device.

    Raise ConfigError for an unknown run, for metrics of which neither more nor less is better, and where no cell has
    both.
    """
    metrics = metric_named(x), metric_named(y)
    if unclear := [one.name for one in metrics if one.direction is Direction.NONE]:
        raise ConfigError(
            f"of {unclear[0]} neither more nor less is better", "a front needs metrics with a better side"
        )
    run = require_run(wiring.store.runs, run).header.run
    sides = [_values(run, one, wiring) for one in metrics]
    both = {
        label: (first[0], second[0])
        for label, first in sides[0].items()
        if first is not None and (second := sides[1].get(label)) is not None
    }
    if not both:
        raise _nothing(run, f"{x} and {y}", wiring)
    spots = tuple(Spot(label, *place, on_front=_is_on_front(label, both, metrics)) for label, place in both.items())
    title = f"run {run}"
    return SpotsFigure(
        title, metrics[0].name, metrics[0].unit, metrics[1].name, metrics[1].unit, spots, len(sides[0]) - len(both)
    )


def _is_on_front(label: str, both: Mapping[str, tuple[float, float]], metrics: tuple[Metric, Metric]) -> bool:
    """Say whether no cell of the same device and model is better in one metric, and no worse in the other."""
    own = _costs(both[label], metrics)
    others = (_costs(place, metrics) for other, place in both.items() if _group(other) == _group(label))
    return not any(
        all(cost <= mine for cost, mine in zip(other, own, strict=True)) and other != own for other in others
    )


def _group(label: str) -> tuple[str, str | None]:
    device, _, cell = label.partition(_BETWEEN)
    return device, model_in(cell)


def _costs(place: tuple[float, float], metrics: tuple[Metric, Metric]) -> tuple[float, ...]:
    return tuple(
        -value if metric.direction is Direction.HIGHER else value for value, metric in zip(place, metrics, strict=True)
    )


_BETWEEN = " · "


def _values(
    run: str, metric: Metric, wiring: HasRecords
) -> Mapping[str, tuple[float, float | None, float | None] | None]:
    """Return each cell's value with its interval, by the cell in words. None: without a value."""
    results = wiring.store.results.cell_results(run, metric.name)
    found: dict[str, tuple[float, float | None, float | None] | None] = {}
    for level, one in zip(levels_of(results), _by_device(results), strict=True):
        label = f"{level.device}{_BETWEEN}{level.label}"
        if level.value is not None:
            found[label] = (level.value, level.low, level.high)
        elif is_accuracy(metric.name) and one.trial_values:  # an accuracy may be 0, and is a single value
            found[label] = (one.trial_values[0], None, None)
        else:
            found[label] = None
    return found


def _by_device(results: Sequence[CellResult]) -> Sequence[CellResult]:
    """Return results in the order of `levels_of`: device by device."""
    devices = dict.fromkeys(one.cell.device for one in results)
    return [one for device in devices for one in results if one.cell.device == device]


def _nothing(run: str, metric: str, wiring: HasRecords) -> ConfigError:
    measured = wiring.store.results.measured_metrics(run)
    return ConfigError(f"no cell of run {run} has a value of {metric}", all_known(measured))
