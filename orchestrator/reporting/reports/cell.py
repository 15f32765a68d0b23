"""Declare a cell of a run in full, and the distribution of its samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from orchestrator.domain.cell_details import AttemptDetails, CellDetails, PowerAccount, Summary
from orchestrator.domain.cell_samples import CellSamples, DrawnTrial
from orchestrator.domain.power_curve import PowerCurve
from orchestrator.domain.run import TrialState
from orchestrator.reporting.report import Report
from orchestrator.reporting.reports.run_details import CELL
from orchestrator.reporting.shape import (
    BOOLEAN,
    FREE,
    INTEGER,
    NUMBER,
    TEXT,
    TIME,
    Key,
    ListOf,
    MapOf,
    OneOf,
    OrNull,
    Shape,
    View,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

_Value = TypeVar("_Value")
_SUMMARY = View[Summary](
    "attempt-metric",
    "One metric of an attempt, in the metric's unit.",
    (
        Key("value", OrNull(NUMBER), "The median of the samples, or the one number.", lambda one: one.value),
        Key("samples", OrNull(INTEGER), "How many samples; null for a single number.", lambda one: one.samples),
        Key("p50_low", OrNull(NUMBER), "The 95 % interval of the median, lower end.", lambda one: one.p50_low),
        Key("p50_high", OrNull(NUMBER), "Its upper end.", lambda one: one.p50_high),
        Key("p90", OrNull(NUMBER), "The 90th percentile; null for too few samples.", lambda one: one.p90),
        Key("p99", OrNull(NUMBER), "The 99th percentile; null for too few samples.", lambda one: one.p99),
        Key("min", OrNull(NUMBER), "The smallest sample.", lambda one: one.smallest),
        Key("max", OrNull(NUMBER), "The largest sample.", lambda one: one.largest),
        Key("source", OrNull(TEXT), "The power source of the value.", lambda one: one.source),
    ),
)
_POWER = View[PowerAccount](
    "attempt-power",
    "How the power of an attempt was measured, or why not.",
    (
        Key("source", OrNull(TEXT), "The power source.", lambda one: one.source),
        Key("rate_hz", OrNull(NUMBER), "Readings a second.", lambda one: one.rate_hz),
        Key("idle_w", OrNull(NUMBER), "Idle power.", lambda one: one.idle_w),
        Key("reason", OrNull(TEXT), "Why there is no figure at all.", lambda one: one.reason),
        Key("energy_reason", OrNull(TEXT), "Why there is no energy above idle.", lambda one: one.energy_reason),
        Key("caution", OrNull(TEXT), "Why the figures may be off.", lambda one: one.caution),
    ),
)
_ATTEMPT = View[AttemptDetails](
    "attempt",
    "An attempt at a trial.",
    (
        Key("id", INTEGER, "The attempt's id.", lambda one: one.id),
        Key("trial", TEXT, "The trial's key.", lambda one: one.trial),
        Key("kind", TEXT, "preflight, measure or profile.", lambda one: one.kind),
        Key("trial_index", INTEGER, "1, 2, 3 … for measure trials, 0 for others.", lambda one: one.trial_index),
        Key("ordinal", INTEGER, "1, 2, 3 … within the trial.", lambda one: one.ordinal),
        Key("outcome", OrNull(TEXT), "ok or failed; null while running or interrupted.", lambda one: one.outcome),
        Key("counted", BOOLEAN, "Whether the attempt is the one that counts.", lambda one: one.counted),
        Key("invalid", ListOf(TEXT), "The broken conditions.", lambda one: one.invalid),
        Key("failure", OrNull(TEXT), "The failure in words.", lambda one: one.failure),
        Key("stderr", OrNull(TEXT), "The end of a failed trial's standard error.", lambda one: one.stderr),
        Key("started_at", OrNull(TIME), "By the device's clock.", lambda one: one.started_at),
        Key("finished_at", OrNull(TIME), "By the device's clock.", lambda one: one.finished_at),
        Key("duration_ns", OrNull(INTEGER), "Lifetime of the trial's process.", lambda one: one.duration_ns),
        Key("conditions_before", FREE, "The conditions before, by name.", lambda one: one.before),
        Key("conditions_after", FREE, "The conditions after.", lambda one: one.after),
        Key("exclusive", OrNull(BOOLEAN), "Whether nobody else measured meanwhile.", lambda one: one.exclusive),
        Key("runtime_reported", FREE, "What the runtime said of itself.", lambda one: one.runtime),
        Key("metrics", MapOf(_SUMMARY, "metric"), "The metrics.", lambda one: one.metrics),
        Key("power", OrNull(_POWER), "How power was measured; null without an account.", lambda one: one.power),
    ),
)
_DETAILS = View[CellDetails](
    "cell-in-full",
    "A cell of a run in full.",
    (
        Key("job", INTEGER, "The cell's id.", lambda one: one.job),
        Key("series", OrNull(INTEGER), "The series that the cell belongs to.", lambda one: one.series),
        Key("cell", CELL, "The coordinates.", lambda one: one.cell),
        Key("artifact_sha256", TEXT, "Hash of the artifact.", lambda one: one.artifact_sha256),
        Key("artifact_format", OrNull(TEXT), "Its format.", lambda one: one.artifact_format),
        Key("size_bytes", OrNull(INTEGER), "Its size.", lambda one: one.size_bytes),
        Key("precision", TEXT, "The precision of its numbers.", lambda one: one.precision),
        Key("made", TEXT, "How the variant was made.", lambda one: one.made),
        Key("parent", OrNull(TEXT), "What the variant was made from.", lambda one: one.parent),
        Key("trials", MapOf(INTEGER, "trial state"), "How many trials are in each state.", lambda one: one.trials),
        Key("skipped", OrNull(TEXT), "Why trials were skipped.", lambda one: one.skipped),
        Key("attempts", ListOf(_ATTEMPT), "Every attempt, in the order of trials.", lambda one: one.attempts),
        Key("earlier", OrNull(INTEGER), "The cell of the same series in the run before.", lambda one: one.earlier),
        Key("later", OrNull(INTEGER), "The one in the run after.", lambda one: one.later),
    ),
)


@dataclass(frozen=True, slots=True)
class _Line:
    """Hold one metric of one attempt. An attempt without a metric has a line too."""

    details: CellDetails
    attempt: AttemptDetails
    metric: str | None
    summary: Summary | None


_ROW = View[_Line](
    "cell-in-full-row",
    "One metric of one attempt.",
    (
        Key("attempt", INTEGER, "The attempt's id.", lambda line: line.attempt.id),
        Key("trial", TEXT, "The trial's key.", lambda line: line.attempt.trial),
        Key("kind", TEXT, "preflight, measure or profile.", lambda line: line.attempt.kind),
        Key("trial_state", OneOf(TrialState), "Where the trial stands.", lambda line: line.attempt.trial_state),
        Key("ordinal", INTEGER, "1, 2, 3 … within the trial.", lambda line: line.attempt.ordinal),
        Key("outcome", OrNull(TEXT), "ok or failed.", lambda line: line.attempt.outcome),
        Key("counted", BOOLEAN, "Whether it counts.", lambda line: line.attempt.counted),
        Key("invalid", TEXT, "The broken conditions.", lambda line: " ".join(line.attempt.invalid)),
        Key("failure", OrNull(TEXT), "The failure in words.", lambda line: line.attempt.failure),
        Key("metric", OrNull(TEXT), "The metric.", lambda line: line.metric),
        Key("value", OrNull(NUMBER), "The value.", lambda line: line.summary and line.summary.value),
        Key("samples", OrNull(INTEGER), "How many samples.", lambda line: line.summary and line.summary.samples),
        Key("p90", OrNull(NUMBER), "The 90th percentile.", lambda line: line.summary and line.summary.p90),
        Key("p99", OrNull(NUMBER), "The 99th percentile.", lambda line: line.summary and line.summary.p99),
    ),
)


def _lines(details: CellDetails) -> Iterator[_Line]:
    for attempt in details.attempts:
        if not attempt.metrics:
            yield _Line(details, attempt, None, None)
        for name, summary in attempt.metrics.items():
            yield _Line(details, attempt, name, summary)


CELL_SHOWN = Shape[CellDetails](_DETAILS, _ROW, _lines)

_DRAWN = View[DrawnTrial](
    "drawn-trial",
    "The samples of a counted trial.",
    (
        Key("attempt", INTEGER, "The attempt's id.", lambda one: one.attempt),
        Key("trial_index", INTEGER, "1, 2, 3 …", lambda one: one.trial_index),
        Key("batch", INTEGER, "Number of calls averaged in each sample.", lambda one: one.batch),
        Key("samples", INTEGER, "How many samples the trial has.", lambda one: one.samples),
        Key("step", INTEGER, "Every how many samples one is among `values`.", lambda one: one.step),
        Key("values", ListOf(INTEGER), "Samples in their order, in the metric's unit.", lambda one: one.values),
        Key("quantiles", ListOf(NUMBER), "The values at equal shares from 0 to 1.", lambda one: one.quantiles),
        Key("counts", ListOf(INTEGER), "How many samples are in each bin.", lambda one: one.counts),
    ),
)
_SAMPLES = View[CellSamples](
    "cell-samples",
    "The distribution of a cell's samples.",
    (
        Key("job", INTEGER, "The cell's id.", lambda one: one.job),
        Key("metric", TEXT, "The metric.", lambda one: one.metric),
        Key(
            "edges",
            ListOf(NUMBER),
            "The edges of the bins, one more than bins. The last bin is wider: it has the rest.",
            lambda one: one.edges,
        ),
        Key("trials", ListOf(_DRAWN), "The counted trials.", lambda one: one.trials),
        Key("pruned", OrNull(TEXT), "Who deleted the samples and when; null where nobody did.", lambda one: one.pruned),
    ),
)


@dataclass(frozen=True, slots=True)
class _Sample:
    """Hold one sample of one trial."""

    trial_index: int
    place: int
    value: int


_SAMPLE = View[_Sample](
    "cell-sample",
    "One sample.",
    (
        Key("trial_index", INTEGER, "The trial.", lambda one: one.trial_index),
        Key("sample", INTEGER, "The sample's place in the trial, from 0.", lambda one: one.place),
        Key("value", INTEGER, "The sample, in the metric's unit.", lambda one: one.value),
    ),
)
SAMPLES = Shape[CellSamples](
    _SAMPLES,
    _SAMPLE,
    lambda found: (
        _Sample(one.trial_index, place * one.step, value)
        for one in found.trials
        for place, value in enumerate(one.values)
    ),
)


POWER_CURVE = View[PowerCurve](
    "power-curve",
    "The power of a counted trial, over the lifetime of the trial's process.",
    (
        Key("attempt", INTEGER, "The attempt's id.", lambda one: one.attempt),
        Key("trial_index", INTEGER, "1, 2, 3 …", lambda one: one.trial_index),
        Key("source", TEXT, "The power source.", lambda one: one.source),
        Key("seconds", ListOf(NUMBER), "The moments, from the first reading.", lambda one: one.seconds),
        Key("watts", ListOf(NUMBER), "The power at each; of a counter, the mean since before.", lambda one: one.watts),
    ),
)
_READING = View[tuple[PowerCurve, float, float]](
    "power-reading",
    "One reading of power.",
    (
        Key("trial_index", INTEGER, "The trial.", lambda one: one[0].trial_index),
        Key("source", TEXT, "The power source.", lambda one: one[0].source),
        Key("seconds", NUMBER, "The moment, from the first reading.", lambda one: one[1]),
        Key("watts", NUMBER, "The power; of a counter, the mean since before.", lambda one: one[2]),
    ),
)
POWER_CURVES = Shape[Sequence[PowerCurve]](
    ListOf(POWER_CURVE),
    _READING,
    lambda found: ((one, moment, watts) for one in found for moment, watts in zip(one.seconds, one.watts, strict=True)),
)


def curves_report(found: Sequence[PowerCurve]) -> Report:
    """Return the power of a cell's trials as a report."""
    return Report(found, POWER_CURVES, lambda: _drawn(POWER_CURVES, found))


def cell_report(details: CellDetails) -> Report:
    """Return a cell as a report."""
    return Report(details, CELL_SHOWN, lambda: _drawn(CELL_SHOWN, details))


def samples_report(samples: CellSamples) -> Report:
    """Return the samples of a cell as a report."""
    return Report(samples, SAMPLES, lambda: _drawn(SAMPLES, samples))


def _drawn(shape: Shape[_Value], value: _Value) -> RenderableType:
    from orchestrator.reporting.tables.rows import row_table

    return row_table(shape.columns(), shape.lines(value))
