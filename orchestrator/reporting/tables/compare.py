"""Draw a comparison: for each device and setting, each side against the base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.text import Text

from orchestrator.domain.comparison import (
    AccuracyMethod,
    Agreement,
    Comparison,
    ComparisonGroup,
    ComparisonRow,
    OutputsAgreement,
    Side,
    Verdict,
)
from orchestrator.domain.metric import SIZE_METRIC, Direction, is_accuracy
from orchestrator.domain.policy import TRIALS_MAX
from orchestrator.domain.sweep import setting_text
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.tables.aligned import Line, aligned, drawn_line, excess_width, natural_widths, remarks
from orchestrator.reporting.tables.columns import Column
from orchestrator.reporting.tables.commands import CommandLines
from orchestrator.reporting.text import ABSENT, clean, shown

STYLES: Mapping[Verdict, str] = {
    Verdict.IMPROVED: "green",
    Verdict.REGRESSED: "bold red",
    Verdict.DIFFERENT: "yellow",
    Verdict.EQUIVALENT: "",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.NOISY: "yellow",
    Verdict.ENVIRONMENT_CHANGED: "bold yellow",
    Verdict.NOT_COMPARABLE: "yellow",
}
BETTER: Mapping[Direction, str] = {
    Direction.LOWER: "lower is better",
    Direction.HIGHER: "higher is better",
    Direction.NONE: "neither more nor less is better",
}
_SHORTEST_OUTPUTS = 9
_FAIR_OUTPUTS = 18
"""Width in characters for most outputs. Longer outputs are folded, before every verdict takes a line more."""


@dataclass(frozen=True, slots=True)
class CompareView:
    """Render a comparison in a metric. A narrow console gets fewer columns and more lines, with the same content.

    `is_part`: the caller adds the lines below all parts.
    """

    comparison: Comparison
    is_part: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._title()
        columns, widths, lines = self._layout(options.max_width)
        if widths:
            yield Text()
            headings = tuple(Text(column.heading, style="bold") for column in columns)
            yield from aligned(columns, widths, headings, console)
        for group, group_lines in zip(self.comparison.groups, lines, strict=True):
            yield Text()
            yield group_title(group)
            yield from _group(group, (drawn_line(columns, widths, line, console) for line in group_lines))
        yield Text()
        if not self.is_part:
            yield from conclusions(self.comparison)
            yield from self.legend()

    def _title(self) -> Text:
        comparison = self.comparison
        models = ", ".join(dict.fromkeys(clean(group.model) for group in comparison.groups))
        title = Text.assemble(("compare ", "bold"), shown(comparison.run), " · ", models, " · ")
        title.append(clean(f"{comparison.metric.name} by {comparison.by} against {comparison.base}"))
        return title.append(f" ({BETTER[comparison.metric.direction]})")

    def _layout(self, width: int) -> tuple[list[Column], list[int], list[list[Line]]]:
        """Return the first fitting layout. Without widths no layout fits, and each line is drawn as several."""
        for layout in (_Layout(size_ratio=True), _Layout(), _Layout(stacked=True)):
            columns = layout.columns(self.comparison)
            lines = [list(layout.lines(group, self.comparison)) for group in self.comparison.groups]
            widths = natural_widths(columns, [line for group in lines for line in group])
            excess = excess_width(widths, width)
            if excess <= 0 or (not layout.size_ratio and excess <= widths[-1] - _FAIR_OUTPUTS):
                break
        # Outputs give way, names do not: a row whose name is cut cannot be told from the next.
        cut = min(max(excess, 0), max(widths[-1] - _SHORTEST_OUTPUTS, 0))
        widths[-1] -= cut
        return columns, widths if excess <= cut else [], lines

    def legend(self) -> Iterator[Text]:
        """Yield the meaning of the figures."""
        comparison = self.comparison
        smallest = numbers.percent(comparison.min_effect)
        yield Text(
            f"n: trials. {comparison.metric.name}: geometric mean over trials, far trials set aside (SQL's v_latest: "
            f"median). ratio: with its {numbers.percent(comparison.confidence)} interval over trials, the noise of all "
            "cells of a device in view.",
            style="dim",
        )
        yield Text(
            f"verdict: a difference counts from {smallest}, and is said of at most 1 in 1,000 identical pairs. "
            f"equivalent: surely less than {smallest} apart. inconclusive: neither is sure.",
            style="dim",
        )
        yield from noisy_legend(comparison)
        yield Text(
            "accuracy: of the base, then the difference from it (±0.000: the same). "
            f"outputs: agree where {comparison.tolerance} for every value; then the largest |Δ|, and for how many "
            "inputs the top-1 is the same.",
            style="dim",
        )


@dataclass(frozen=True, slots=True)
class _Layout:
    """Arrange the figures of a comparison in columns.

    `size_ratio`: ratios stand beside sizes. `stacked`: verdicts stand below ratios.
    """

    size_ratio: bool = False
    stacked: bool = False

    def columns(self, comparison: Comparison) -> list[Column]:
        ratio = [Column("ratio")] if self.stacked else [Column("ratio"), Column("verdict")]
        name = comparison.metric.name.partition("_")[0]
        # A metric that is compared has its column already.
        beside = (Column("size", right=not self.size_ratio), Column("accuracy", right=True))
        return [
            Column(clean(comparison.by), fold=True),
            Column("n", right=True),
            Column(name, right=True),
            *ratio,
            *(column for column in beside if column.heading != name),
            Column("outputs", fold=True),
        ]

    def lines(self, group: ComparisonGroup, comparison: Comparison) -> Iterator[Line]:
        if group.base is not None:
            yield self._line(group.base, comparison, Text(), Text("base", style="dim"), None)
        for row in group.rows:
            verdict = Text(row.word or row.verdict.value.replace("-", " "), style=STYLES[row.verdict])
            yield self._line(row.side, comparison, _ratio(row), verdict, row)

    def _line(self, side: Side, comparison: Comparison, ratio: Text, verdict: Text, row: ComparisonRow | None) -> Line:
        judged: Line = (ratio, verdict)
        if self.stacked:
            judged = (Text("\n").join([ratio, verdict]) if ratio.plain else verdict,)
        size = numbers.size(side.size_bytes)
        if self.size_ratio and row is not None and row.size_ratio is not None:
            size = f"{size:<7} {numbers.factor(row.size_ratio)}"
        return (
            shown(setting_text(side.at)),
            Text(str(side.trials)),
            Text(numbers.quantity(side.value, comparison.metric.unit)),
            *judged,
            *([Text(size)] if comparison.metric.name != SIZE_METRIC else []),
            *([Text(_accuracy(side, row))] if not is_accuracy(comparison.metric.name) else []),
            _outputs(row.outputs) if row is not None else Text(),
        )


def noisy_legend(comparison: Comparison) -> Iterator[Text]:
    """Yield the meaning of the verdict noisy, and what to do, where a row has the verdict."""
    verdicts = {row.verdict for row in comparison.rows} | {
        one.verdict for row in comparison.rows for one in row.metrics
    }
    if Verdict.NOISY in verdicts:
        yield Text(
            "noisy: the trials of a side agree too little to be judged, and more trials alone seldom help. runs show "
            "RUN --cell RULE shows what each trial met: quiet the device (other work, heat, governor), and measure "
            "again.",
            style="dim",
        )


def conclusions(comparison: Comparison) -> Iterator[RenderableType]:
    """Yield the lines below all rows: reasons of a gate, warnings, and settling commands."""
    bought = [f"{setting_text(row.side.at)}: {text}" for row in comparison.rows for text in losses(row)]
    if bought:
        yield Text("Better values that do not count, since accuracy was lost for them:", style="bold red")
        yield from (Padding(shown(text), (0, 0, 0, 2)) for text in dict.fromkeys(bought))
        yield Text()
    if comparison.reasons:
        yield Text("Reasons to fail (--fail-on-regression):", style="bold red")
        yield from (Padding(shown(str(reason)), (0, 0, 0, 2)) for reason in comparison.reasons)
        yield Text()
    if comparison.warnings:
        yield Text(
            "Warning (environment-changed): not shown to be the build, and no reason to fail:", style="bold yellow"
        )
        yield from (Padding(shown(str(warning)), (0, 0, 0, 2)) for warning in comparison.warnings)
        yield Text()
    if comparison.commands:
        yield Text(f"What would probably settle the inconclusive {comparison.metric.name}:", style="bold")
        yield from map(CommandLines, comparison.commands)
        yield Text()


def losses(row: ComparisonRow) -> tuple[str, ...]:
    """Return why better values of a row do not count, in any metric."""
    return tuple(text for text in (row.bought, *(one.bought for one in row.metrics)) if text is not None)


def row_notes(row: ComparisonRow) -> tuple[str, ...]:
    """Return the notes on a row: everything beyond the figures."""
    notes = list(row.notes)
    if row.trials_total is not None:
        notes.append(_trials(row))
    if (accuracy := _accuracy_note(row)) is not None:
        notes.append(accuracy)
    if row.outputs.reason is not None:
        notes.append(f"outputs not compared: {row.outputs.reason}")
    if row.outputs.not_a_number:
        notes.append(f"{row.outputs.not_a_number} outputs are not numbers (NaN)")
    return tuple(notes)


_MANY = 10.0
"""From this relative change on, a factor says more than a percentage."""
_METHODS = {AccuracyMethod.MCNEMAR: "McNemar's test", AccuracyMethod.PAIRED_BOOTSTRAP: "paired bootstrap"}


def _accuracy_note(row: ComparisonRow) -> str | None:
    """Word the test of a difference in accuracy, or the lack of a test. Without a difference there is no note."""
    test = row.accuracy_test
    if test is None or not row.accuracy_difference:
        return None
    if test.p_value is None:
        return f"accuracy: the shares alone are compared, which may be chance: {test.reason}"
    text = f"accuracy over the same {test.inputs} inputs: {numbers.signed(test.difference or 0.0)}"
    if test.low is not None and test.high is not None:
        text += f" [{numbers.signed(test.low)}, {numbers.signed(test.high)}]"
    if test.only_other is not None:
        text += f", {test.only_other} right here alone, {test.only_base} there alone"
    return f"{text}, p {test.p_value:.2g} ({_METHODS[test.method]})"


def _trials(row: ComparisonRow) -> str:
    """Say how many trials would settle a verdict, and the change detectable by the present trials."""
    assert row.trials_total is not None
    total = row.trials_total
    many = f"more than {TRIALS_MAX}" if total.most > TRIALS_MAX else str(total.most)
    count = f"{total.fewest} to {many}" if total.most > total.fewest else many
    said = f"{count} trials a side would probably settle it"
    detectable = row.ratio.detectable if row.ratio else None
    if detectable is None:
        return said
    # A per cent of five digits says nothing to anybody.
    change = f"of {numbers.percent(detectable)}" if detectable < _MANY else f"to {numbers.factor(1 + detectable)}"
    return f"{said}; so far a change {change} would be seen"


def _ratio(row: ComparisonRow) -> Text:
    if row.ratio is None:
        return Text(ABSENT)
    return Text(f"{numbers.factor(row.ratio.value)} {numbers.interval(row.ratio.low, row.ratio.high)}".rstrip())


def _accuracy(side: Side, row: ComparisonRow | None) -> str:
    """Return the difference from the base, or else the accuracy."""
    if row is not None and row.accuracy_difference is not None:
        return numbers.signed(row.accuracy_difference)
    return ABSENT if side.accuracy is None else f"{side.accuracy:.3f}"


def _outputs(outputs: OutputsAgreement) -> Text:
    if outputs.agreement is Agreement.UNKNOWN:
        return Text(ABSENT)
    text = Text(outputs.agreement.value, style="" if outputs.agreement is Agreement.AGREE else "yellow")
    if outputs.max_difference is not None:
        text.append(f" {outputs.max_difference:.2g}")
    if outputs.top1_same is not None:
        text.append(f", top-1 {outputs.top1_same}/{outputs.inputs}")
    return text


def group_title(group: ComparisonGroup) -> Text:
    """Return the common coordinates of a group's cells."""
    named = [clean(part) for part in (group.named_model, group.device) if part is not None]
    for name, value in group.fixed.items():
        text = clean(setting_text(value))
        named.append(text if name in ("variant", "runtime") else f"{clean(name)}={text}")
    return Text(" · ".join(named), style="bold cyan")


def _group(group: ComparisonGroup, drawn: Iterator[list[Text]]) -> Iterator[Text | Padding]:
    """Yield the lines of a group, each line with notes below."""
    # The base is the first drawn line, where the group has a base.
    if group.base is not None:
        yield from next(drawn)
    yield from remarks(group.notes)
    for row, lines in zip(group.rows, drawn, strict=True):
        yield from lines
        yield from remarks(row_notes(row))
    if not group.rows:
        yield from remarks(("nothing here to compare it with",))
