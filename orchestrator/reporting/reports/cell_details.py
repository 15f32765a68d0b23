"""Declare cells of a run in full."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.domain.cell_distribution import AttemptValue, Bin, CellInMetric, Histogram
from orchestrator.domain.cell_figures import CellFigure
from orchestrator.domain.metric import Direction, Unit
from orchestrator.reporting.report import Report
from orchestrator.reporting.shape import (
    BOOLEAN,
    FREE,
    INTEGER,
    NUMBER,
    TEXT,
    TIME,
    Key,
    ListOf,
    OneOf,
    OrNull,
    Shape,
    View,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

_SINGLE: tuple[Key[AttemptValue], ...] = (
    Key("attempt", INTEGER, "The attempt's id in the database.", lambda one: one.attempt.id),
    Key("trial", TEXT, "The trial's key.", lambda one: one.attempt.trial),
    Key("kind", TEXT, "`measure`, `preflight` or `profile`.", lambda one: one.attempt.kind),
    Key("trial_index", INTEGER, "1, 2, 3 … for measure trials, 0 for others.", lambda one: one.attempt.trial_index),
    Key("ordinal", INTEGER, "1, 2, 3 … within the trial.", lambda one: one.attempt.ordinal),
    Key("outcome", OrNull(TEXT), "`ok` or `failed`; null without an end.", lambda one: one.attempt.outcome),
    Key("counted", BOOLEAN, "Whether the attempt counts for its trial.", lambda one: one.attempt.counted),
    Key("failure", OrNull(TEXT), "Why it failed.", lambda one: one.attempt.failure),
    Key("started_at", OrNull(TIME), "By the device's clock, which may jump.", lambda one: one.attempt.started_at),
    Key("duration_ns", OrNull(INTEGER), "Lifetime of the trial process.", lambda one: one.attempt.duration_ns),
    Key("value", OrNull(NUMBER), "The metric's value.", lambda one: one.value),
    Key("n", OrNull(INTEGER), "Number of samples; null for a metric of one number.", lambda one: _of(one, "samples")),
    Key("p90", OrNull(NUMBER), "The samples' 90th percentile; null with too few.", lambda one: _of(one, "p90")),
    Key("p99", OrNull(NUMBER), "Their 99th percentile.", lambda one: _of(one, "p99")),
    Key("source", OrNull(TEXT), "The power source of the value.", lambda one: _of(one, "source")),
)


def _of(one: AttemptValue, name: str) -> object:
    return None if one.summary is None else getattr(one.summary, name)


ATTEMPT = View[AttemptValue](
    "attempt-details",
    "An attempt at a trial of a cell.",
    (
        *_SINGLE,
        Key("invalid", ListOf(TEXT), "The broken conditions.", lambda one: one.attempt.invalid),
        Key("before", FREE, "The conditions before it, as the device reported them.", lambda one: one.attempt.before),
        Key("after", FREE, "The conditions after it.", lambda one: one.attempt.after),
    ),
)
BIN = View[Bin](
    "histogram-bin",
    "Samples between two values.",
    (
        Key("low", NUMBER, "Inclusive, in the metric's unit.", lambda one: one.low),
        Key("high", NUMBER, "Exclusive; inclusive in the last bin.", lambda one: one.high),
        Key("count", INTEGER, "Samples of all trials.", lambda one: one.count),
        Key("counts", ListOf(INTEGER), "Samples of each trial, in the order of `trials`.", lambda one: one.counts),
    ),
)
HISTOGRAM = View[Histogram](
    "sample-histogram",
    "The distribution of the raw samples of counted trials. The last bin is wider: it has the rest.",
    (
        Key("metric", TEXT, "The sampled metric.", lambda one: one.metric),
        Key("trials", ListOf(INTEGER), "The numbers of the trials.", lambda one: one.trials),
        Key("count", INTEGER, "Number of samples.", lambda one: one.count),
        Key(
            "p50",
            OrNull(NUMBER),
            "The median of all samples, without an interval; null with too few.",
            lambda one: one.p50,
        ),
        Key("p90", OrNull(NUMBER), "The 90th percentile.", lambda one: one.p90),
        Key("p99", OrNull(NUMBER), "The 99th percentile.", lambda one: one.p99),
        Key("bins", ListOf(BIN), "The bins, the lowest first.", lambda one: one.bins),
    ),
)
FIGURE = View[CellFigure](
    "cell-figure",
    "A metric of a cell over its counted trials.",
    (
        Key("metric", TEXT, "The metric.", lambda one: one.metric.name),
        Key("unit", OneOf(Unit), "The unit of the values.", lambda one: one.metric.unit),
        Key("direction", OneOf(Direction), "Which values are better.", lambda one: one.metric.direction),
        Key("kind", TEXT, "`measure`, or `preflight` for a metric of preflights alone.", lambda one: one.kind.value),
        Key("trials", INTEGER, "How many trials have a value.", lambda one: one.trials),
        Key("value", OrNull(NUMBER), "The median over trials.", lambda one: one.value),
        Key("lowest", OrNull(NUMBER), "The lowest trial's value.", lambda one: one.lowest),
        Key("highest", OrNull(NUMBER), "The highest trial's value.", lambda one: one.highest),
        Key("reason", OrNull(TEXT), "Why no trial has a value.", lambda one: one.reason),
    ),
)
CELL = View[CellInMetric](
    "cell-details",
    "A cell of a run in full.",
    (
        Key("run", TEXT, "The run.", lambda cell: cell.details.cell.run),
        Key("device", TEXT, "The device's name.", lambda cell: cell.details.cell.device),
        Key("model", TEXT, "The model's name.", lambda cell: cell.details.cell.model),
        Key("label", TEXT, "The cell in words.", lambda cell: cell.details.label),
        Key("metric", TEXT, "The metric.", lambda cell: cell.metric),
        Key("unit", OneOf(Unit), "The unit of all values.", lambda cell: cell.unit),
        Key("attempts", ListOf(ATTEMPT), "Every attempt, preflights first.", lambda cell: cell.attempts),
        Key("figures", ListOf(FIGURE), "Every metric of the cell.", lambda cell: cell.figures),
        Key("histogram", OrNull(HISTOGRAM), "The distribution of the samples.", lambda cell: cell.histogram),
        Key("unsampled", OrNull(TEXT), "Why there is no distribution.", lambda cell: cell.unsampled),
        Key("commands", ListOf(TEXT), "Commands that measure the cell again.", lambda cell: cell.commands),
    ),
)


@dataclass(frozen=True, slots=True)
class _Line:
    cell: CellInMetric
    one: AttemptValue


_ROW = View[_Line](
    "cell-details-line",
    "An attempt at a trial of a cell.",
    (
        Key("run", TEXT, "The run.", lambda line: line.cell.details.cell.run),
        Key("device", TEXT, "The device's name.", lambda line: line.cell.details.cell.device),
        Key("cell", TEXT, "The cell in words.", lambda line: line.cell.details.label),
        Key("metric", TEXT, "The metric.", lambda line: line.cell.metric),
        *(
            Key(key.name, key.kind, key.meaning, lambda line, read=key.read: read(line.one))  # type: ignore[misc]
            for key in _SINGLE
        ),
        Key(
            "invalid",
            TEXT,
            "The broken conditions, a comma between two.",
            lambda line: ", ".join(line.one.attempt.invalid),
        ),
    ),
)


def _lines(cells: Sequence[CellInMetric]) -> Iterator[_Line]:
    for cell in cells:
        yield from (_Line(cell, one) for one in cell.attempts)


CELLS = Shape[Sequence[CellInMetric]](ListOf(CELL), _ROW, _lines)


def cells_report(cells: Sequence[CellInMetric]) -> Report:
    """Return cells in full as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.cell_details import cells_view

        return cells_view(cells)

    return Report(cells, CELLS, draw)
