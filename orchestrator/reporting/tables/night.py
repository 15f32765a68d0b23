"""Draw a night for a terminal: findings by cause, the worst first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from orchestrator.domain.night import NO_BASELINE, LostDevice, NightCell, NightGroup, NightReport, NightVerdict
from orchestrator.reporting.nights import words
from orchestrator.reporting.nights.words import Section, Tone
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.tables.commands import CommandLines
from orchestrator.reporting.text import clean, shown

_STYLES: Mapping[Tone, str] = {Tone.BAD: "bold red", Tone.DOUBT: "yellow", Tone.GOOD: "green", Tone.CALM: ""}
_CELLS_MAX = 8
"""How many cells of a group have lines. The other formats have all."""


def night_table(report: NightReport) -> RenderableType:
    """Return a night, with a line for each cause and lines for the cells."""
    sign, tone = words.mood(report)
    parts: list[RenderableType] = [
        Text.assemble((f"{sign} ", _STYLES[tone]), (words.title(report), "bold")),
        shown(words.headline(report), style=_STYLES[tone]),
        Text(),
        *(_tally(tally) for tally in words.tallies(report)),
    ]
    if report.lost:
        parts += [Text(), _heading(words.LOST, len(report.lost)), *map(_lost, report.lost)]
    for section in words.sections(report):
        parts += [Text(), *_section(section)]
    parts += [Text(), *(_fact(name, fact) for name, fact in words.facts(report, when=numbers.told))]
    return Group(*parts)


def _tally(tally: words.Tally) -> Text:
    style = _STYLES[tally.tone] if tally.figure != "0" else ""
    line = Text.assemble((f"{tally.sign} ", style), f"{tally.name}: ", (tally.figure, style))
    return line.append(f" {clean(tally.remark)}" if tally.remark else "")


def _heading(wording: words.Wording, count: int) -> Text:
    return Text(f"{wording.sign} {wording.heading} ({count})", style=_STYLES[wording.tone] or "bold")


def _section(section: Section) -> Iterator[RenderableType]:
    yield _heading(section.wording, section.cells)
    first: dict[tuple[str, str], list[NightCell]] = {}
    for group in section.groups:
        if group.first.reason == NO_BASELINE:
            first.setdefault((group.first.cell.device, group.first.metric), []).extend(group.cells)
        else:
            yield from _group(group)
    # Of a first night every cell is without a baseline: the names say nothing.
    for cells in first.values():
        group = NightGroup(tuple(cells))
        line = Text.assemble((clean(group.first.cell.device), "bold cyan"), " · ", clean(words.group_line(group)))
        yield _indented(line.append(f": {NO_BASELINE}"))


def _group(group: NightGroup) -> Iterator[RenderableType]:
    first = group.first
    yield _indented(Text.assemble((clean(first.cell.device), "bold cyan"), " · ", clean(words.group_line(group))))
    if len(group.cells) > 1:
        for cell in group.cells[:_CELLS_MAX]:
            yield _indented(_cell(cell), 4)
        if len(group.cells) > _CELLS_MAX:
            yield _indented(Text(f"and {words.counted(len(group.cells) - _CELLS_MAX, 'more cell')}"), 4)
    yield _indented(shown(first.reason, style="italic"), 4)
    # A night may set aside trials in hundreds of cells: those of the first cell stand for the group here.
    if first.estimate is not None:
        yield _indented(shown(" · ".join(words.figures(first)), style="dim"), 4)
    if first.rerun and first.verdict is not NightVerdict.QUARANTINED:
        yield CommandLines(first.rerun, "rerun: ", indent=4)


def _cell(cell: NightCell) -> Text:
    if cell.estimate is None:
        return shown(cell.label)
    return Text(f"{clean(cell.label)}: {words.ratio(cell)}, {words.values(cell)}, {words.trials(cell)}")


def _lost(lost: LostDevice) -> RenderableType:
    text = Text.assemble((clean(lost.device), "bold cyan"), f" · {words.lost_line(lost)}: {clean(lost.error)}")
    if lost.hint:
        text.append(f"\nhint: {clean(lost.hint)}")
    return _indented(text)


def _fact(name: str, fact: str) -> Text:
    return Text.assemble((f"{name}: ", "dim"), clean(fact))


def _indented(text: Text, by: int = 2) -> RenderableType:
    return Padding(text, (0, 0, 0, by))
