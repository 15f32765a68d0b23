"""Declare the levels of baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from orchestrator.domain.baseline import Baseline, BaselineKind
from orchestrator.domain.series import Series
from orchestrator.reporting.report import Report
from orchestrator.reporting.shape import INTEGER, SETTING, TEXT, TIME, Key, ListOf, MapOf, OneOf, OrNull, Shape, View

if TYPE_CHECKING:
    from rich.console import RenderableType

SERIES = View[Series](
    "series",
    "The same cell in all runs of a device.",
    (
        Key("id", INTEGER, "The id of the series in the database.", lambda series: series.id),
        Key("device", TEXT, "The device's name.", lambda series: series.device),
        Key("model", TEXT, "The model's name.", lambda series: series.model),
        Key("variant", TEXT, "The variant's name.", lambda series: series.variant),
        Key("runtime", TEXT, "The runtime's label.", lambda series: series.runtime),
        Key("settings", MapOf(SETTING, "setting"), "The cell's settings.", lambda series: series.settings),
    ),
)


def _own_keys() -> tuple[Key[Baseline], ...]:
    return (
        Key("id", INTEGER, "The level's id.", lambda level: level.id),
        Key("name", TEXT, "The baseline's name.", lambda level: level.name),
        Key("run", TEXT, "The run whose values are the level.", lambda level: level.run),
        Key("run_started_at", TIME, "When the run began.", lambda level: level.run_started_at),
        Key("kind", OneOf(BaselineKind), "How the level was chosen.", lambda level: level.kind),
        Key("metric", OrNull(TEXT), "The metric of the level; null for every metric.", lambda level: level.metric),
        Key("reason", TEXT, "Why.", lambda level: level.reason),
        Key("pinned_by", TEXT, "Who chose it: USER@HOST.", lambda level: level.pinned_by),
        Key("pinned_at", TIME, "When.", lambda level: level.pinned_at),
        Key(
            "superseded_at",
            OrNull(TIME),
            "When a later level took its place; null for a present one.",
            lambda level: level.superseded_at,
        ),
    )


LEVEL = View[Baseline](
    "baseline-level",
    "A level of a baseline.",
    (
        *_own_keys(),
        Key("series", OrNull(SERIES), "The series; null for every cell of the run.", lambda level: level.series),
    ),
)


def _of_series(read: Callable[[Series], object]) -> Callable[[Baseline], object]:
    return lambda level: None if level.series is None else read(level.series)


_ROW = View[Baseline](
    "baseline-line",
    "A level of a baseline.",
    (
        *_own_keys(),
        Key("series", OrNull(INTEGER), "The id of the series; empty for every cell.", _of_series(lambda one: one.id)),
        Key("cell", OrNull(TEXT), "The series in words.", _of_series(lambda one: one.label)),
    ),
)
LEVELS = Shape[Sequence[Baseline]](ListOf(LEVEL), _ROW, lambda levels: levels)


def levels_report(levels: Sequence[Baseline]) -> Report:
    """Return levels as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.history import level_table

        return level_table(levels)

    return Report(levels, LEVELS, draw)
