"""Compose series over time: a level for each run, and what changed around the levels."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING

from orchestrator.domain.annotation import Annotation
from orchestrator.domain.baseline import level_of
from orchestrator.domain.build import environment_difference
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.metric import ALIASES, SIZE_METRIC, Metric, metric_named
from orchestrator.domain.nearest import all_known
from orchestrator.domain.policy import HEADLINE_METRIC
from orchestrator.domain.regression import Regression
from orchestrator.domain.run import TrialState
from orchestrator.domain.series import Series
from orchestrator.domain.series_history import (
    Change,
    ChangeKind,
    ChangePoint,
    HistoryBaseline,
    HistoryPoint,
    RunOfSeries,
    SeriesHistory,
    Window,
)
from orchestrator.services.history.series import picked_series

if TYPE_CHECKING:
    from orchestrator.services.base import HasRecords
    from orchestrator.store.base import Roles


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """Ask for series over time. `series` are ids, labels or rules. `metric` is a name or an alias."""

    series: Sequence[str]
    metric: str = HEADLINE_METRIC
    window: Window = field(default_factory=Window)


def series_over_time(request: HistoryRequest, wiring: HasRecords) -> Sequence[SeriesHistory]:
    """Return each series over time, in the order of the request.

    Raise ConfigError for a text that names no series, and where no picked series has the metric.
    """
    store, metric = wiring.store, metric_named(request.metric)
    if metric.name == SIZE_METRIC:
        raise ConfigError("the size of an artifact is no figure of trials", "benchfleet compare RUN --metric size")
    found = [_over_time(one, metric, request.window, store) for one in picked_series(request.series, store.series)]
    if not any(point.value is not None for one in found for point in one.points):
        measured = sorted({name for one in found for name in store.series.measured_metrics(one.series.id)})
        raise ConfigError(
            f"no run of the series has a value of {request.metric!r} in that time",
            all_known([*measured, *(alias for alias, name in ALIASES.items() if name in measured)]),
        )
    return found


def _over_time(series: Series, metric: Metric, window: Window, store: Roles) -> SeriesHistory:
    from orchestrator.analysis.levels import STEPS_FROM

    runs, left_out = store.series.runs_of(series.id, metric.name, window)
    points = points_of(runs)
    known = [point for point in points if point.value is not None]
    return SeriesHistory(
        series=series,
        metric=metric.name,
        unit=metric.unit,
        points=points,
        baseline=_baseline(series, metric.name, points, store),
        steps=_steps(known, metric),
        steps_reason=None if len(known) >= STEPS_FROM else f"a step is sought in {STEPS_FROM} values or more",
        changes=tuple(_changes(runs, store)),
        regressions=_regressions(series, metric.name, store),
        annotations=_annotations(series, points, store),
        left_out=left_out,
    )


def points_of(runs: Sequence[RunOfSeries]) -> tuple[HistoryPoint, ...]:
    """Return a value with its interval for each run of a series, or the reason for none."""
    # Imported late: scipy takes its time, and a page's other queries need none of it.
    from orchestrator.analysis.levels import levels

    found = levels([one.trial_values for one in runs])
    points = []
    for run, level in zip(runs, found, strict=True):
        value, low, high = (None, None, None) if level is None else (level.value, level.low, level.high)
        aside = 0 if level is None else level.set_aside
        reason = None if level is not None else _reason(run)
        trials = len(run.trial_values)
        points.append(
            HistoryPoint(run.run, run.started_at, value, low, high, trials, aside, reason, run.night, run.stage)
        )
    return tuple(points)


def _reason(run: RunOfSeries) -> str:
    if run.trial_values:
        return "a trial's value is not above zero: there is no geometric mean"
    states = {state: count for state, count in run.states.items() if state is not TrialState.MEASURED}
    if not states:
        return "no trial has the metric" if run.states else "no trial was planned"
    return ", ".join(f"{count} {state.value}" for state, count in states.items())


def _steps(known: Sequence[HistoryPoint], metric: Metric) -> tuple[ChangePoint, ...]:
    import math

    from orchestrator.analysis.levels import steps_of

    found = steps_of([point.value for point in known], metric.min_effect)
    return tuple(
        ChangePoint(known[step.night].run, known[step.night].started_at, math.exp(step.change), step.errors)
        for step in found
    )


def _baseline(series: Series, metric: str, points: Sequence[HistoryPoint], store: Roles) -> HistoryBaseline | None:
    level = level_of(store.baselines.present_levels(), series.id, metric)
    if level is None:
        return None
    if not any(point.run == level.run for point in points):  # it may be older than the window
        points = points_of(store.series.runs_of(series.id, metric, Window(run=level.run))[0])
    # A pinned run need not have every metric.
    value = next((point.value for point in points if point.run == level.run), None)
    return HistoryBaseline(level.name, level.run, level.kind, value)


def _changes(runs: Sequence[RunOfSeries], store: Roles) -> Iterator[Change]:
    """Yield the differences between each run and the last earlier run that is known well enough."""
    yield from _environment_changes(runs, store)
    for name, kind in (
        ("artifact_sha256", ChangeKind.ARTIFACT),
        ("runtime_sha256", ChangeKind.RUNTIME),
        ("worker_sha256", ChangeKind.WORKER),
    ):
        hashes = [(run, tuple(dict.fromkeys(getattr(build, name)[:12] for build in run.builds))) for run in runs]
        yield from _differing([(run, names) for run, names in hashes if names], kind)
    yield from _differing([(run, run.sources) for run in runs if run.sources], ChangeKind.SOURCE)


def _differing(named: Sequence[tuple[RunOfSeries, Sequence[str]]], kind: ChangeKind) -> Iterator[Change]:
    for (_, before), (run, after) in itertools.pairwise(named):
        if before != after:
            yield Change(run.run, run.started_at, kind, f"{' and '.join(before)} -> {' and '.join(after)}")


def _environment_changes(runs: Sequence[RunOfSeries], store: Roles) -> Iterator[Change]:
    known = [run for run in runs if run.hashes is not None and run.snapshot is not None]
    pairs = [(before, after) for before, after in itertools.pairwise(known) if before.hashes != after.hashes]
    wanted = {run.snapshot for pair in pairs for run in pair if run.snapshot is not None}
    facts = store.series.environments(wanted) if wanted else {}
    for before, after in pairs:
        sides = [facts[one] for one in (before.snapshot, after.snapshot) if one is not None and one in facts]
        if len(sides) == 2:
            text = ", ".join(environment_difference(sides[:1], sides[1:]))
            yield Change(after.run, after.started_at, ChangeKind.ENVIRONMENT, text)


def _regressions(series: Series, metric: str, store: Roles) -> tuple[Regression, ...]:
    found = store.regressions.regressions(series=series.id)
    return tuple(one for one in reversed(found) if one.metric == metric)


def _annotations(series: Series, points: Sequence[HistoryPoint], store: Roles) -> tuple[Annotation, ...]:
    if not points:
        return ()
    first, last = (point.started_at.astimezone(UTC).date() for point in (points[0], points[-1]))
    return tuple(one for one in store.annotations.annotations(first, last) if one.touches(series))
