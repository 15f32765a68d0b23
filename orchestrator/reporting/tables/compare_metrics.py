"""Draw a comparison in several metrics: a line for each cell, and a column for each metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.text import Text

from orchestrator.domain.comparison import (
    Agreement,
    Comparison,
    ComparisonGroup,
    ComparisonRow,
    Side,
    Verdict,
)
from orchestrator.domain.metric import SIZE_METRIC, Metric, is_accuracy
from orchestrator.domain.sweep import setting_text
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.tables.aligned import Line, aligned, drawn_line, excess_width, natural_widths, remarks
from orchestrator.reporting.tables.columns import Column
from orchestrator.reporting.tables.compare import STYLES, CompareView, conclusions, group_title, noisy_legend, row_notes
from orchestrator.reporting.text import ABSENT, clean, shown

SIZE, ACCURACY = "size", "accuracy"
_SHORT: Mapping[str, str] = {
    "latency_ns": "latency",
    "latency_ns_p90": "p90",
    "latency_ns_p99": "p99",
    "rss_bytes_max": "memory",
    "rss_model_bytes_max": "model memory",
    "energy_mj": "energy",
    "size_bytes": SIZE,
}
_WORDS: Mapping[str, str] = {
    "equivalent": "same",
    "inconclusive": "unsure",
    "not comparable": ABSENT,
    "environment changed": "environment",
}
_ACCURACIES: Mapping[Verdict, str] = {
    Verdict.REGRESSED: "worse",
    Verdict.IMPROVED: "better",
    Verdict.EQUIVALENT: "same",
    Verdict.INCONCLUSIVE: "unsure",
}
_LONG_NAME = 24
"""Width in characters of names that leave no room for columns on a narrow console."""
_FIRST_TO_GO = ("latency_ns_p90",)
"""Between the median and the 99th percentile, the 90th says least that the others do not."""


@dataclass(frozen=True, slots=True)
class MetricsView:
    """Render a comparison in several metrics. `details` renders each metric in a separate table, with intervals."""

    comparison: Comparison
    details: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        parts = list(self.comparison.in_each_metric())
        if self.details:
            for part in parts:
                yield CompareView(part, is_part=True)
        else:
            yield from self._table(console, options.max_width)
        yield from conclusions(self.comparison)
        yield from CompareView(parts[0]).legend() if self.details else self._legend()

    def _table(self, console: Console, width: int) -> Iterator[Text | Padding]:
        comparison = self.comparison
        yield self._title()
        yield Text()
        columns, widths, groups = self._fitted(width)
        left_out = [metric.name for metric in comparison.metrics if _short(metric) not in columns]
        drawn_columns = [Column(clean(comparison.by), fold=True), Column("n", right=True)]
        drawn_columns += [Column(name, right=True) for name in columns]
        if widths:
            headings = tuple(Text(column.heading, style="bold") for column in drawn_columns)
            yield from aligned(drawn_columns, widths, headings, console)
        for group, lines in zip(comparison.groups, groups, strict=True):
            yield Text()
            yield group_title(group)
            notes = [group.notes] * (group.base is not None) + [_notes(row) for row in group.rows]
            if group.base is None:
                yield from remarks(group.notes)
            for line, said in zip(lines, notes, strict=True):
                yield from drawn_line(drawn_columns, widths, line, console)
                yield from remarks(said)
        yield Text()
        if left_out:
            yield Text(f"--details also has {', '.join(left_out)}, for which there is no room here.", style="dim")

    def _title(self) -> Text:
        comparison = self.comparison
        models = ", ".join(dict.fromkeys(clean(group.model) for group in comparison.groups))
        title = Text.assemble(("compare ", "bold"), shown(comparison.run), " · ", models, " · ")
        named = f"{len(comparison.metrics)} metrics by {comparison.by} against {comparison.base}"
        return title.append(clean(named))

    def _fitted(self, width: int) -> tuple[list[str], list[int], list[list[Line]]]:
        """Return the fitting columns of metrics, with the widths and the lines of each group.

        The 90th percentile gives way first, then the last of the further metrics. Beside long names nothing gives way:
        without widths, each line is drawn as several.
        """
        comparison = self.comparison
        kept = every = list(range(len(comparison.metrics)))
        while True:
            lines = [list(_group_lines(group, comparison, kept)) for group in comparison.groups]
            names = [_short(comparison.metrics[place]) for place in kept] + _beside(comparison)
            columns = [Column(clean(comparison.by)), Column("n"), *map(Column, names)]
            widths = natural_widths(columns, [line for group in lines for line in group])
            if excess_width(widths, width) <= 0:
                return names, widths, lines
            if len(kept) == 1 or widths[0] > _LONG_NAME:
                break
            first = next((place for place in kept if comparison.metrics[place].name in _FIRST_TO_GO), kept[-1])
            kept = [place for place in kept if place != first]
        lines = [list(_group_lines(group, comparison, every)) for group in comparison.groups]
        return [_short(metric) for metric in comparison.metrics] + _beside(comparison), [], lines

    def _legend(self) -> Iterator[Text]:
        comparison = self.comparison
        # A size is certain, and never different by chance.
        count = sum(metric.name != SIZE_METRIC for metric in comparison.metrics)
        effects = dict.fromkeys(
            f"{_short(part.metric)} {numbers.percent(part.min_effect)}" for part in comparison.in_each_metric()
        )
        yield Text(
            "Each side against the base: the ratio of geometric means over trials, and below it the verdict. "
            "n: trials. same: surely less apart than counts. unsure: neither is sure. --details has the intervals.",
            style="dim",
        )
        yield from noisy_legend(comparison)
        yield Text(f"A difference counts from: {', '.join(effects)}.", style="dim")
        yield Text(
            f"Of 1,000 identical pairs, at most 1 is called different in one metric, and at most {count} in any of "
            f"these {count}.",
            style="dim",
        )
        yield Text(
            "size: certain. accuracy: of the base, then the difference from it. identical: the same inputs are right.",
            style="dim",
        )


def _group_lines(group: ComparisonGroup, comparison: Comparison, kept: Sequence[int]) -> Iterator[Line]:
    if group.base is not None:
        bases = [group.base, *(one.base for one in group.rows[0].metrics)] if group.rows else [group.base]
        values = [_value(bases[place] if place < len(bases) else None, comparison.metrics[place]) for place in kept]
        beside = {SIZE: _size(group.base), ACCURACY: _accuracy(group.base)}
        yield _line(group.base, [*values, *(beside[name] for name in _beside(comparison))])
    for row in group.rows:
        beside = {SIZE: _size_ratio(row), ACCURACY: _accuracy_difference(row)}
        cells = [_judged(row, place) for place in kept]
        yield _line(row.side, [*cells, *(beside[name] for name in _beside(comparison))])


def _beside(comparison: Comparison) -> list[str]:
    """Return the columns beside the metrics: size and accuracy, unless among the metrics."""
    names = [_short(metric) for metric in comparison.metrics]
    return [name for name in (SIZE, ACCURACY) if name not in names]


def _line(side: Side, cells: Sequence[Text]) -> Line:
    return (shown(setting_text(side.at)), Text(str(side.trials)), *cells)


def _value(side: Side | None, metric: Metric) -> Text:
    return Text(ABSENT if side is None else numbers.quantity(side.value, metric.unit))


def _judged(row: ComparisonRow, place: int) -> Text:
    one = row if place == 0 else row.metrics[place - 1]
    metric = row.metrics[place - 1].metric if place else None
    if metric is not None and is_accuracy(metric.name):
        return _accuracy_difference(row)
    if one.ratio is None:
        return Text(ABSENT)
    return _stacked(numbers.factor(one.ratio.value), _WORDS.get(one.word, one.word), STYLES[one.verdict])


def _size(side: Side) -> Text:
    return Text(numbers.size(side.size_bytes))


def _size_ratio(row: ComparisonRow) -> Text:
    ratio = row.size_ratio
    if ratio is None:
        return _size(row.side)
    word = "same" if ratio == 1 else "larger" if ratio > 1 else "smaller"
    return _stacked(numbers.factor(ratio), word, "")


def _accuracy(side: Side) -> Text:
    return Text(ABSENT if side.accuracy is None else f"{side.accuracy:.3f}")


def _accuracy_difference(row: ComparisonRow) -> Text:
    if row.accuracy_difference is None:
        return _accuracy(row.side)
    test = row.accuracy_test
    word = "unpaired" if test is None or test.p_value is None else _ACCURACIES[test.verdict]
    # Not by the difference: two inputs lost and two others won make 0, too.
    if test is not None and test.only_base == test.only_other == 0:
        word = "identical"
    return _stacked(numbers.signed(row.accuracy_difference), word, STYLES[test.verdict] if test else "")


def _stacked(figure: str, word: str, style: str) -> Text:
    return Text("\n").join([Text(figure), Text(word, style=style)])


def _notes(row: ComparisonRow) -> Sequence[str]:
    notes = row_notes(row)
    if row.outputs.agreement is not Agreement.DIFFER:
        return notes
    text = "outputs differ"
    if row.outputs.max_difference is not None:
        text += f" by up to {row.outputs.max_difference:.2g}"
    if row.outputs.top1_same is not None:
        text += f"; the top-1 is the same for {row.outputs.top1_same} of {row.outputs.inputs} inputs"
    return (*notes, text)


def _short(metric: Metric) -> str:
    return ACCURACY if is_accuracy(metric.name) else _SHORT.get(metric.name, metric.name)
