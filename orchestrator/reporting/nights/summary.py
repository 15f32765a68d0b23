"""Write a night as Markdown, for the step summary of a build or for a comment."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.domain.night import NightGroup, NightReport
from orchestrator.reporting.formats.markdown import escaped
from orchestrator.reporting.nights import words
from orchestrator.reporting.nights.page import LABEL_MAX, TEXT_MAX, short
from orchestrator.reporting.nights.words import Section

GROUPS_MAX = 50
"""How many groups of a section have a line. A step summary has a limit of 1 MiB, and a reader has less."""


def summary(report: NightReport) -> str:
    """Return a night as Markdown. Only findings have lines."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: NightReport) -> Iterator[str]:
    sign, _ = words.mood(report)
    yield f"## {sign} {escaped(words.title(report))}\n"
    yield f"**{escaped(words.headline(report))}**\n"
    tallies = words.tallies(report)
    yield _row(f"{tally.sign} {tally.name}" for tally in tallies)
    yield _row("---" for _ in tallies)
    yield _row(f"{escaped(tally.figure)} {escaped(tally.remark)}".strip() for tally in tallies)
    if report.lost:
        yield f"\n### {words.LOST.sign} {words.LOST.heading}\n"
        for lost in report.lost:
            hint = f" ({escaped(short(lost.hint))})" if lost.hint else ""
            name, error = escaped(short(lost.device, LABEL_MAX)), escaped(short(lost.error))
            yield f"- **{name}** {escaped(words.lost_line(lost))}: {error}{hint}"
    for section in words.sections(report):
        yield from _section(section)
    yield ""
    yield from (f"- {name}: {escaped(short(fact))}" for name, fact in words.facts(report))


def _section(section: Section) -> Iterator[str]:
    yield f"\n### {escaped(section.wording.sign)} {section.wording.heading} ({section.cells})\n"
    yield "| device | what | n | why | rerun |\n|---|---|---|---|---|"
    yield from map(_group, section.groups[:GROUPS_MAX])
    more = len(section.groups) - GROUPS_MAX
    if more > 0:
        yield f"\nand {words.counted(more, 'more group')}"


def _group(group: NightGroup) -> str:
    first = group.first
    what = words.group_line(group)
    if len(group.cells) == 1 and first.estimate is not None:
        what += f" ({words.values(first)})"
    trials = words.trials(first).removeprefix("n = ")
    cells = (short(first.cell.device, LABEL_MAX), what, trials, first.reason, first.rerun)
    return _row(escaped(short(cell, TEXT_MAX)) for cell in cells)


def _row(cells: Iterator[str]) -> str:
    return f"| {' | '.join(cells)} |"
