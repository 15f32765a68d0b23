"""Choose the content of a run's report, within a budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from orchestrator.domain.comparison import Comparison, ComparisonGroup, ComparisonRow, Verdict
from orchestrator.domain.measurement import RUN
from orchestrator.domain.policy import HEADLINE_METRIC
from orchestrator.domain.run import RunState, TrialState
from orchestrator.domain.run_report import CellLevel, RunReport
from orchestrator.domain.sweep import setting_text
from orchestrator.reporting.reports.run_difference import Line, lines_of
from orchestrator.reporting.runs.forest import Forest, Row, forest
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.tables.compare import row_notes
from orchestrator.reporting.text import ABSENT

LABEL_MAX, TEXT_MAX = 120, 400
"""The longest name and the longest text, in characters: a device may say anything."""
_CHART_LABEL = 38
SIGNS: Mapping[Verdict, tuple[str, str]] = {
    Verdict.REGRESSED: ("✗", "bad"),
    Verdict.IMPROVED: ("✓", "good"),
    Verdict.DIFFERENT: ("≠", "doubt"),
    Verdict.EQUIVALENT: ("=", "calm"),
    Verdict.INCONCLUSIVE: ("?", "doubt"),
    Verdict.NOISY: ("~", "doubt"),
    Verdict.ENVIRONMENT_CHANGED: ("!", "doubt"),
    Verdict.NOT_COMPARABLE: ("–", "doubt"),
}
"""A sign and a tone for each verdict: colour never stands alone."""
_MOODS = {RunState.COMPLETE: ("✓", "good"), RunState.ACTIVE: ("…", "calm")}
_FIGURES = (
    "geometric means over trials, far trials set aside; intervals hold the true value 95 times in 100, with the noise "
    "usual among the cells of a device in view (history: in the series)"
)


@dataclass(frozen=True, slots=True)
class Budget:
    """Bound a report: rows of each table, rows of each drawing, and devices."""

    rows: int
    drawn: int
    devices: int


@dataclass(frozen=True, slots=True)
class DevicePart:
    """Hold the results of one device: rows of cell, value, interval, trials and remark."""

    name: str
    line: str
    chart: Forest | None
    rows: tuple[tuple[str, ...], ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Judged:
    """Hold a verdict of a comparison in words."""

    label: str
    base: str
    value: str
    ratio: str
    sign: str
    tone: str
    word: str
    notes: str


@dataclass(frozen=True, slots=True)
class MetricPart:
    """Hold a comparison in one metric."""

    name: str
    chart: Forest | None
    rows: tuple[Judged, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Page:
    """Hold the whole content of a report, as text."""

    sign: str
    tone: str
    title: str
    headline: str
    when: str
    tallies: tuple[tuple[str, str, str, int], ...]
    devices: tuple[DevicePart, ...]
    devices_left_out: int
    compared: str
    metrics: tuple[MetricPart, ...]
    uncompared: str | None
    missing: tuple[tuple[str, ...], ...]
    missing_left_out: int
    changes: tuple[Line, ...] | None
    changes_left_out: int
    environments: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    facts: tuple[tuple[str, str], ...]


def page_of(report: RunReport, budget: Budget) -> Page:
    """Return the content of a run's report within a budget."""
    record = report.details.record
    sign, tone = _MOODS.get(record.state, ("!", "doubt"))
    changes = None if report.difference is None else tuple(lines_of(report.difference))
    missing = [(one.device, short(one.label), one.state.value, short(one.reason)) for one in report.details.missing]
    return Page(
        sign=sign,
        tone=tone,
        title=f"run {record.header.run} · {short(record.header.sweep)} · {short(record.header.model_words)}",
        headline=headline(report),
        when=f"{numbers.utc(record.header.started_at)} to {numbers.utc(record.finished_at)}",
        tallies=tallies(report.comparison),
        devices=tuple(islice(_devices(report.levels, budget), budget.devices)),
        devices_left_out=max(0, len({one.device for one in report.levels}) - budget.devices),
        compared=compared(report.comparison),
        metrics=tuple(_metrics(report.comparison, budget)),
        uncompared=None if report.uncompared is None else short(report.uncompared),
        missing=tuple(missing[: budget.rows]),
        missing_left_out=max(0, len(missing) - budget.rows),
        changes=None if changes is None else changes[: budget.rows],
        changes_left_out=0 if changes is None else max(0, len(changes) - budget.rows),
        environments=tuple(islice(_environments(report), budget.devices)),
        facts=(
            ("sweep", short(record.header.sweep_source)),
            ("seed", str(record.header.seed)),
            ("controller", short(record.header.controller)),
            ("figures", _FIGURES),
            ("in the terminal", f"benchfleet runs show {record.header.run}"),
        ),
    )


def short(text: str, most: int = TEXT_MAX) -> str:
    """Return a text, cut where too long."""
    return text if len(text) <= most else f"{text[:most]}…"


def headline(report: RunReport) -> str:
    """Return the standing of a run in one line."""
    devices = report.details.record.devices
    trials: Counter[TrialState] = Counter()
    for one in devices:
        trials.update(one.trials)
    measured, planned = trials[TrialState.MEASURED], sum(trials.values()) - trials[TrialState.SPARED]
    lost = sum(one.error is not None for one in devices)
    number = "1 device" if len(devices) == 1 else f"{len(devices)} devices"
    words = f"{report.details.record.state.value}: {measured} of {planned} trials on {number}"
    return f"{words}, {lost} with an error" if lost else words


def compared(comparison: Comparison | None) -> str:
    """Return the two sides of a comparison in words."""
    if comparison is None:
        return ""
    return short(f"by {comparison.by} against {comparison.base}")


def tallies(comparison: Comparison | None) -> tuple[tuple[str, str, str, int], ...]:
    """Return sign, tone, word and number of each verdict in the first metric, the gravest verdict first."""
    if comparison is None:
        return ()
    counts = Counter((row.verdict, row.word or row.verdict.value) for row in comparison.rows)
    order = list(SIGNS)
    return tuple(
        (*SIGNS[verdict], word, count)
        for (verdict, word), count in sorted(counts.items(), key=lambda item: (order.index(item[0][0]), item[0][1]))
    )


def _devices(levels: Sequence[CellLevel], budget: Budget) -> Iterator[DevicePart]:
    for name in dict.fromkeys(one.device for one in levels):
        cells = [one for one in levels if one.device == name]
        known = sum(one.value is not None for one in cells)
        rows = tuple(_level(one) for one in cells[: budget.rows])
        drawn = [
            Row(short(one.label, _CHART_LABEL), one.value, one.low, one.high, numbers.nanoseconds(one.value))
            for one in cells[: budget.drawn]
        ]
        chart = forest(drawn, f"{HEADLINE_METRIC} of {known} cells with 95 % intervals, logarithmic scale")
        line = f"{known} of {len(cells)} cells with a value"
        yield DevicePart(short(name, LABEL_MAX), line, chart, rows, len(cells) - len(rows))


def _level(one: CellLevel) -> tuple[str, ...]:
    interval = ABSENT
    if one.low is not None and one.high is not None:
        interval = f"{numbers.nanoseconds(one.low)} – {numbers.nanoseconds(one.high)}"
    value = numbers.nanoseconds(one.value)
    return (short(one.label, LABEL_MAX), value, interval, str(one.trials), short(one.reason or ""))


def _metrics(comparison: Comparison | None, budget: Budget) -> Iterator[MetricPart]:
    for part in () if comparison is None else comparison.in_each_metric():
        rows = [(group, row) for group in part.groups for row in group.rows]
        drawn = [_drawn(group, row, part.by) for group, row in rows[: budget.drawn] if row.ratio is not None]
        words = f"{part.metric.name}: ratios to {part.base} with 95 % intervals, logarithmic scale; the line is 1"
        shown = tuple(judged(group, row, part) for group, row in rows[: budget.rows])
        yield MetricPart(part.metric.name, forest(drawn, words, 1.0), shown, len(rows) - len(shown))


def _drawn(group: ComparisonGroup, row: ComparisonRow, by: str) -> Row:
    ratio = row.ratio
    assert ratio is not None
    label = short(label_of(group, row, by), _CHART_LABEL)
    return Row(label, ratio.value, ratio.low, ratio.high, f"{SIGNS[row.verdict][0]} {numbers.factor(ratio.value)}")


def label_of(group: ComparisonGroup, row: ComparisonRow, by: str) -> str:
    """Return a side of a comparison in words. `by` is what differs within a group."""
    fixed = [group.named_model] if group.named_model is not None else []
    fixed += [
        setting_text(value) if name in _NAMED else f"{name}={setting_text(value)}" for name, value in _fixed(group)
    ]
    # Of two runs the title has the names: each row would repeat them.
    return " · ".join(fixed if by == RUN else dict.fromkeys((*fixed, setting_text(row.side.at))))


_NAMED = frozenset({"device", "variant", "runtime"})


def _fixed(group: ComparisonGroup) -> Iterator[tuple[str, int | float | str | bool]]:
    if group.device is not None and "device" not in group.fixed:
        yield "device", group.device
    yield from group.fixed.items()


def judged(group: ComparisonGroup, row: ComparisonRow, comparison: Comparison) -> Judged:
    """Return a verdict in words."""
    sign, tone = SIGNS[row.verdict]
    unit = comparison.metric.unit
    ratio = ABSENT
    if row.ratio is not None:
        ratio = f"{numbers.factor(row.ratio.value)} {numbers.interval(row.ratio.low, row.ratio.high)}".rstrip()
    return Judged(
        short(label_of(group, row, comparison.by), LABEL_MAX),
        numbers.quantity(None if group.base is None else group.base.value, unit),
        numbers.quantity(row.side.value, unit),
        ratio,
        sign,
        tone,
        row.word or row.verdict.value,
        short("; ".join(row_notes(row))),
    )


def _environments(report: RunReport) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    for device, found in report.environments.items():
        facts: dict[str, list[str]] = {}
        for environment in found:
            for name in _FACTS:
                value = environment.facts.get(name)
                if value is not None and short(str(value), LABEL_MAX) not in facts.setdefault(name, []):
                    facts[name].append(short(str(value), LABEL_MAX))
        yield (
            short(device, LABEL_MAX),
            tuple((name, " and then ".join(values)) for name, values in facts.items() if values),
        )


_FACTS = (
    "board_model",
    "cpu_model",
    "cpu_count",
    "memory_bytes",
    "machine",
    "os_id",
    "os_version",
    "kernel",
    "libc_name",
    "libc_version",
    "python",
    "governor",
    "cpu_mhz_max",
)
