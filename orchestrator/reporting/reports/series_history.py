"""Declare series over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.domain.baseline import BaselineKind
from orchestrator.domain.metric import Unit
from orchestrator.domain.series_history import (
    Change,
    ChangeKind,
    ChangePoint,
    HistoryBaseline,
    HistoryPoint,
    SeriesHistory,
)
from orchestrator.reporting.report import Report
from orchestrator.reporting.reports.annotations import ANNOTATION
from orchestrator.reporting.reports.baselines import SERIES
from orchestrator.reporting.reports.regressions import REGRESSION
from orchestrator.reporting.shape import INTEGER, NUMBER, TEXT, TIME, Key, ListOf, OneOf, OrNull, Shape, View

if TYPE_CHECKING:
    from rich.console import RenderableType

POINT = View[HistoryPoint](
    "history-point",
    "A run of a series.",
    (
        Key("run", TEXT, "The run.", lambda point: point.run),
        Key("started_at", TIME, "When the run began.", lambda point: point.started_at),
        Key(
            "value",
            OrNull(NUMBER),
            "The geometric mean over trials, without those set aside.",
            lambda point: point.value,
        ),
        Key(
            "low",
            OrNull(NUMBER),
            "The mean's 95 % interval, lower end; null below two trials.",
            lambda point: point.low,
        ),
        Key("high", OrNull(NUMBER), "The interval's upper end.", lambda point: point.high),
        Key("trials", INTEGER, "Counted trials with a value.", lambda point: point.trials),
        Key("set_aside", INTEGER, "How many of them lie too far off.", lambda point: point.set_aside),
        Key("reason", OrNull(TEXT), "Why there is no value.", lambda point: point.reason),
        Key("night", OrNull(TEXT), "The night of the run; null for a run of no night.", lambda point: point.night),
        Key("stage", OrNull(TEXT), "The night's stage.", lambda point: point.stage),
    ),
)
BASELINE = View[HistoryBaseline](
    "history-baseline",
    "The level that a series is compared with.",
    (
        Key("name", TEXT, "The baseline's name.", lambda level: level.name),
        Key("run", TEXT, "The run whose values are the level.", lambda level: level.run),
        Key("kind", OneOf(BaselineKind), "How the level was chosen.", lambda level: level.kind),
        Key("value", OrNull(NUMBER), "The run's value; null without one.", lambda level: level.value),
    ),
)
STEP = View[ChangePoint](
    "history-step",
    "A step to another level.",
    (
        Key("run", TEXT, "The first run of the new level.", lambda step: step.run),
        Key("at", TIME, "When that run began.", lambda step: step.at),
        Key("ratio", NUMBER, "The level since over the level before.", lambda step: step.ratio),
        Key("errors", NUMBER, "The size of the step in standard errors.", lambda step: step.errors),
    ),
)
CHANGE = View[Change](
    "history-change",
    "What changed around the values between two runs of a series.",
    (
        Key("run", TEXT, "The first run with it.", lambda change: change.run),
        Key("at", TIME, "When that run began.", lambda change: change.at),
        Key("kind", OneOf(ChangeKind), "What changed.", lambda change: change.kind),
        Key("text", TEXT, "What became what; bytes are named by the beginning of their hash.", lambda one: one.text),
    ),
)
HISTORY = View[SeriesHistory](
    "series-history",
    "A series over time.",
    (
        Key("series", SERIES, "The series.", lambda history: history.series),
        Key("metric", TEXT, "The metric.", lambda history: history.metric),
        Key("unit", OneOf(Unit), "The unit of all values.", lambda history: history.unit),
        Key("points", ListOf(POINT), "The runs, the oldest first.", lambda history: history.points),
        Key("left_out", INTEGER, "Earlier runs beyond the limit.", lambda history: history.left_out),
        Key("baseline", OrNull(BASELINE), "The present baseline of the series.", lambda history: history.baseline),
        Key("steps", ListOf(STEP), "Where the values step to another level.", lambda history: history.steps),
        Key("steps_reason", OrNull(TEXT), "Why no step was sought.", lambda history: history.steps_reason),
        Key("changes", ListOf(CHANGE), "What changed around the values.", lambda history: history.changes),
        Key("regressions", ListOf(REGRESSION), "The regressions on record.", lambda history: history.regressions),
        Key("annotations", ListOf(ANNOTATION), "What people noted in that time.", lambda history: history.annotations),
    ),
)


@dataclass(frozen=True, slots=True)
class _Line:
    history: SeriesHistory
    point: HistoryPoint


_ROW = View[_Line](
    "series-history-line",
    "A run of a series.",
    (
        Key("series", INTEGER, "The id of the series.", lambda line: line.history.series.id),
        Key("device", TEXT, "The device's name.", lambda line: line.history.series.device),
        Key("cell", TEXT, "The series in words.", lambda line: line.history.series.label),
        Key("metric", TEXT, "The metric.", lambda line: line.history.metric),
        Key("unit", OneOf(Unit), "The unit.", lambda line: line.history.unit),
        *(
            Key(key.name, key.kind, key.meaning, lambda line, read=key.read: read(line.point))  # type: ignore[misc]
            for key in POINT.keys
        ),
    ),
)


def _lines(histories: Sequence[SeriesHistory]) -> Iterator[_Line]:
    for history in histories:
        yield from (_Line(history, point) for point in history.points)


HISTORIES = Shape[Sequence[SeriesHistory]](ListOf(HISTORY), _ROW, _lines)


def history_report(histories: Sequence[SeriesHistory]) -> Report:
    """Return series over time as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.series_history import history_view

        return history_view(histories)

    return Report(histories, HISTORIES, draw)
