"""A comparison as people read it: per device and setting, each side against its base."""

from __future__ import annotations

import itertools
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
    OutputsAgreement,
    Side,
    Verdict,
)
from orchestrator.domain.measurement import setting_text
from orchestrator.domain.metric import Direction
from orchestrator.reporting import numbers
from orchestrator.reporting.columns import GAP, Column
from orchestrator.reporting.text import ABSENT, clean, shown

_STYLES: Mapping[Verdict, str] = {
    Verdict.IMPROVED: "green",
    Verdict.REGRESSED: "bold red",
    Verdict.DIFFERENT: "yellow",
    Verdict.EQUIVALENT: "",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.NOT_COMPARABLE: "yellow",
}
_BETTER: Mapping[Direction, str] = {
    Direction.LOWER: "lower is better",
    Direction.HIGHER: "higher is better",
    Direction.NONE: "neither more nor less is better",
}
_SHORTEST_NAME, _SHORTEST_OUTPUTS = 8, 9
_FAIR_OUTPUTS = 18
"""Most outputs fit in this; rather than take a line more for every verdict, the others are folded."""

_Line = tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class CompareView:
    """Renders a comparison; says less beside each other where the console is narrow, never less in all."""

    comparison: Comparison

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._title()
        columns, widths, lines = self._layout(options.max_width)
        yield Text()
        headings = tuple(Text(column.heading, style="bold") for column in columns)
        yield from _lines(columns, widths, headings, console)
        for group, group_lines in zip(self.comparison.groups, lines, strict=True):
            yield Text()
            yield _group_title(group)
            drawn = ([*_lines(columns, widths, line, console)] for line in group_lines)
            yield from _group(group, drawn)
        yield Text()
        yield from self._legend()

    def _title(self) -> Text:
        comparison = self.comparison
        models = ", ".join(dict.fromkeys(clean(group.model) for group in comparison.groups))
        title = Text.assemble(("compare ", "bold"), shown(comparison.run), " · ", models, " · ")
        title.append(clean(f"{comparison.metric.name} by {comparison.by} against {comparison.base}"))
        return title.append(f" ({_BETTER[comparison.metric.direction]})")

    def _layout(self, width: int) -> tuple[list[Column], list[int], list[list[_Line]]]:
        """Return the first layout that fits, or the narrowest with its texts folded."""
        for layout in (_Layout(size_ratio=True), _Layout(), _Layout(stacked=True)):
            columns = layout.columns(self.comparison)
            lines = [list(layout.lines(group, self.comparison)) for group in self.comparison.groups]
            widths = _natural_widths(columns, [line for group in lines for line in group])
            excess = sum(widths) + GAP * (len(widths) - 1) - width
            if excess <= 0 or (not layout.size_ratio and excess <= widths[-1] - _FAIR_OUTPUTS):
                break
        for index, shortest in ((len(widths) - 1, _SHORTEST_OUTPUTS), (0, _SHORTEST_NAME)):
            if excess > 0 and widths[index] > shortest:
                cut = min(excess, widths[index] - shortest)
                widths[index] -= cut
                excess -= cut
        return columns, widths, lines

    def _legend(self) -> Iterator[Text]:
        comparison = self.comparison
        tests = f"{comparison.tests} comparison{'' if comparison.tests == 1 else 's'}"
        yield Text(
            f"n: trials. {comparison.metric.name}: geometric mean over trials. "
            f"ratio: with its {numbers.percent(comparison.confidence)} interval over trials (Welch, on logarithms).",
            style="dim",
        )
        yield Text(
            f"verdict: a difference counts from {numbers.percent(comparison.min_effect)}, "
            f"with {numbers.percent(comparison.significance)} false discoveries among {tests} (Benjamini-Hochberg).",
            style="dim",
        )
        yield Text(
            f"outputs: agree where {comparison.tolerance}; then the largest |Δ|, and inputs with the same top-1.",
            style="dim",
        )


@dataclass(frozen=True, slots=True)
class _Layout:
    """What stands in which column."""

    size_ratio: bool = False
    stacked: bool = False

    def columns(self, comparison: Comparison) -> list[Column]:
        ratio = [Column("ratio")] if self.stacked else [Column("ratio"), Column("verdict")]
        return [
            Column(clean(comparison.by), fold=True),
            Column("n", right=True),
            Column(comparison.metric.name.partition("_")[0], right=True),
            *ratio,
            Column("size", right=not self.size_ratio),
            Column("accuracy", right=True),
            Column("outputs", fold=True),
        ]

    def lines(self, group: ComparisonGroup, comparison: Comparison) -> Iterator[_Line]:
        if group.base is not None:
            yield self._line(group.base, comparison, Text(), Text("base", style="dim"), None)
        for row in group.rows:
            verdict = Text(row.verdict.value.replace("-", " "), style=_STYLES[row.verdict])
            yield self._line(row.side, comparison, _ratio(row), verdict, row)

    def _line(self, side: Side, comparison: Comparison, ratio: Text, verdict: Text, row: ComparisonRow | None) -> _Line:
        judged: _Line = (ratio, verdict)
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
            Text(size),
            Text(_accuracy(side, row)),
            _outputs(row.outputs) if row is not None else Text(),
        )


def row_notes(row: ComparisonRow) -> tuple[str, ...]:
    """Return everything that the row's figures do not say by themselves."""
    notes = list(row.notes)
    if row.trials_more is not None:
        notes.append(f"about {row.trials_more} more trial{'' if row.trials_more == 1 else 's'} a side would settle it")
    if row.outputs.reason is not None:
        notes.append(f"outputs not compared: {row.outputs.reason}")
    if row.outputs.not_a_number:
        notes.append(f"{row.outputs.not_a_number} outputs are not numbers (NaN)")
    return tuple(notes)


def _ratio(row: ComparisonRow) -> Text:
    if row.ratio is None:
        return Text(ABSENT)
    return Text(f"{numbers.factor(row.ratio.value)} {numbers.interval(row.ratio.low, row.ratio.high)}".rstrip())


def _accuracy(side: Side, row: ComparisonRow | None) -> str:
    """Return the difference where there is one, else the accuracy itself."""
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
        text.append(f" {outputs.top1_same}/{outputs.inputs}")
    return text


def _group_title(group: ComparisonGroup) -> Text:
    named = [clean(group.device)] if group.device is not None else []
    for name, value in group.fixed.items():
        text = clean(setting_text(value))
        named.append(text if name in ("variant", "runtime") else f"{clean(name)}={text}")
    return Text(" · ".join(named), style="bold cyan")


def _group(group: ComparisonGroup, drawn: Iterator[list[Text]]) -> Iterator[Text | Padding]:
    """Put its notes under each line."""
    if group.base is not None:
        yield from next(drawn)
    yield from _notes(group.notes)
    for row, lines in zip(group.rows, drawn, strict=True):
        yield from lines
        yield from _notes(row_notes(row))
    if not group.rows:
        yield from _notes(("nothing here to compare it with",))


def _notes(notes: Sequence[str]) -> Iterator[Padding]:
    for note in notes:
        yield Padding(shown(note, style="dim italic"), (0, 0, 0, 2))


def _natural_widths(columns: Sequence[Column], lines: Sequence[_Line]) -> list[int]:
    widths = [Text(column.heading).cell_len for column in columns]
    for line in lines:
        for index, cell in enumerate(line):
            widths[index] = max([widths[index], *(part.cell_len for part in cell.split("\n"))])
    return widths


def _lines(columns: Sequence[Column], widths: Sequence[int], cells: _Line, console: Console) -> Iterator[Text]:
    """Lay cells side by side in columns of given widths, so that all groups line up; what is too long is folded."""
    folded = [
        list(cell.wrap(console, width, overflow="fold")) if cell.cell_len > width or "\n" in cell.plain else [cell]
        for cell, width in zip(cells, widths, strict=True)
    ]
    for parts in itertools.zip_longest(*folded, fillvalue=Text()):
        line = Text()
        for column, width, part in zip(columns, widths, parts, strict=True):
            blanks = " " * (width - part.cell_len)
            line.append(blanks if column.right else "").append_text(part).append("" if column.right else blanks)
            line.append(" " * GAP)
        line.rstrip()
        yield line
