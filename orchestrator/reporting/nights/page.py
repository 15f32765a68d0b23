"""Choose the content of a night's digest: every finding in a line, details within a budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.domain.metric import metric_named
from orchestrator.domain.night import CanaryShift, LostDevice, NightCell, NightGroup, NightReport, NightVerdict
from orchestrator.reporting.nights import words
from orchestrator.reporting.nights.chart import Chart, chart
from orchestrator.reporting.nights.words import Section, Tally, Tone
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.text import ABSENT, clean

LABEL_MAX, TEXT_MAX = 160, 600
"""The longest name and the longest text, in characters: a device may say anything."""

MEANINGS: Mapping[NightVerdict, str] = {
    NightVerdict.CONFIRMED: "worse than the baseline, by an interleaved rerun on the same device in the same night",
    NightVerdict.DOES_NOT_LOAD: "the candidate does not run here",
    NightVerdict.MISSING: "no value tonight where the baseline has one",
    NightVerdict.SUSPECTED: "unlike its history, and the night ended before a rerun could decide",
    NightVerdict.ENVIRONMENT_CHANGED: "the device or its system changed, and the build did not",
    NightVerdict.INCONCLUSIVE: "measured, and not judged",
    NightVerdict.QUARANTINED: "too noisy to be judged: measured and shown, and never fails a night",
    NightVerdict.FIXED: "an earlier regression is gone",
    NightVerdict.IMPROVED: "better than the baseline",
    NightVerdict.CLEAN: "nothing speaks against the cell",
}


@dataclass(frozen=True, slots=True)
class Budget:
    """Bound a digest: groups of a section, cells with chart and SQL, and rows of the table of all cells."""

    groups: int
    cards: int
    rows: int


@dataclass(frozen=True, slots=True)
class Entry:
    """Hold the details of a cell."""

    label: str
    change: str
    reason: str
    facts: tuple[str, ...]
    chart: Chart | None
    rerun: str
    sql: str


@dataclass(frozen=True, slots=True)
class GroupView:
    """Hold a line of the digest: cells with a common move."""

    device: str
    line: str
    entries: tuple[Entry, ...]
    left_out: str


@dataclass(frozen=True, slots=True)
class SectionView:
    """Hold the findings of a verdict."""

    sign: str
    tone: Tone
    heading: str
    cells: int
    groups: tuple[GroupView, ...]
    left_out: str


@dataclass(frozen=True, slots=True)
class Row:
    """Hold a cell in the table of all cells."""

    label: str
    verdict: str
    ratio: str
    value: str
    trials: str
    detectable: str


@dataclass(frozen=True, slots=True)
class DeviceRows:
    """Hold the rows of a device."""

    name: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Hold the whole content of a digest, as text."""

    sign: str
    tone: Tone
    title: str
    headline: str
    when: str
    tallies: tuple[Tally, ...]
    lost: tuple[LostDevice, ...]
    sections: tuple[SectionView, ...]
    cells_line: str
    devices: tuple[DeviceRows, ...]
    facts: tuple[tuple[str, str], ...]
    canaries: tuple[tuple[str, ...], ...]
    runs: tuple[tuple[str, ...], ...]
    meanings: tuple[tuple[str, str, str], ...]


def page_of(report: NightReport, budget: Budget) -> Page:
    """Return the content of a night's digest within a budget."""
    sign, tone = words.mood(report)
    rows = _rows(report, budget.rows)
    shown = sum(len(device.rows) for device in rows)
    left_out = f", {shown} of them here; `{_all_of(report)}` lists all" if shown < len(report.cells) else ""
    return Page(
        sign,
        tone,
        words.title(report),
        words.headline(report),
        " · ".join(_when(report)),
        words.tallies(report),
        report.lost,
        tuple(_sections(report, budget)),
        f"{_extent(report)}{left_out}",
        rows,
        tuple((name, short(fact)) for name, fact in words.facts(report, 100)),
        tuple(map(_canary, report.canaries[: budget.rows])),
        tuple((run.run, words.spelled(run.stage), run.sweep) for run in report.runs[: budget.rows]),
        tuple((words.wording_of(verdict).sign, words.spelled(verdict), text) for verdict, text in MEANINGS.items()),
    )


def short(text: str, most: int = TEXT_MAX) -> str:
    """Return a text, cut where too long."""
    return text if len(text) <= most else f"{text[:most]}…"


def _extent(report: NightReport) -> str:
    cells = words.cells_in(report.cells)
    extent = f"{words.counted(cells, 'cell')} on {words.counted(len(report.devices), 'device')}"
    return extent if cells == len(report.cells) else f"{extent}, {words.counted(len(report.cells), 'verdict')}"


def _when(report: NightReport) -> Iterator[str]:
    yield numbers.utc(report.began_at)
    if report.ended_at is not None:
        yield f"took {numbers.duration((report.ended_at - report.began_at).total_seconds())}"
    # A side of many artifacts has a line for each: those stand below, among the terms.
    for name, lines in (("candidate", report.candidate), ("baseline", report.baseline)):
        if len(lines) == 1:
            yield f"{name}: {short(lines[0], LABEL_MAX)}"


def _all_of(report: NightReport) -> str:
    return f"benchfleet nightly show {report.night} --format csv"


def _sections(report: NightReport, budget: Budget) -> Iterator[SectionView]:
    cards = budget.cards
    for section in words.sections(report):
        groups = []
        for group in section.groups[: budget.groups]:
            view = _group(report, group, cards)
            cards -= len(view.entries)
            groups.append(view)
        yield _section(section, groups, report)


def _section(section: Section, groups: Sequence[GroupView], report: NightReport) -> SectionView:
    more = len(section.groups) - len(groups)
    left_out = f"and {words.counted(more, 'more group')}: {_all_of(report)}" if more else ""
    wording = section.wording
    return SectionView(wording.sign, wording.tone, wording.heading, section.cells, tuple(groups), left_out)


def _group(report: NightReport, group: NightGroup, cards: int) -> GroupView:
    # A share for each group: a runtime that slows all cells of a device must not leave the next device without charts.
    entries = tuple(map(_entry, group.cells[: max(0, min(cards, 8))]))
    more = len(group.cells) - len(entries)
    left_out = f"{words.counted(more, 'cell')} more, below among all cells and in {_all_of(report)}" if more else ""
    return GroupView(short(group.first.cell.device, LABEL_MAX), short(words.group_line(group)), entries, left_out)


def _entry(cell: NightCell) -> Entry:
    return Entry(
        short(cell.label, LABEL_MAX),
        short(words.change(cell), LABEL_MAX),
        short(cell.reason),
        tuple(map(short, words.figures(cell))),
        chart(cell) if cell.history or cell.estimate is not None else None,
        short(cell.rerun, 2 * TEXT_MAX),
        short(cell.sql, 3 * TEXT_MAX),
    )


def _rows(report: NightReport, most: int) -> tuple[DeviceRows, ...]:
    # Findings first, so that a budget leaves out clean cells. The sort is stable.
    chosen = sorted(report.cells, key=lambda cell: cell.verdict is NightVerdict.CLEAN)[:most]
    by_device: dict[str, list[Row]] = {}
    for cell in chosen:
        by_device.setdefault(cell.cell.device, []).append(_row(cell))
    return tuple(DeviceRows(short(name, LABEL_MAX), tuple(rows)) for name, rows in sorted(by_device.items()))


def _row(cell: NightCell) -> Row:
    wording = words.wording(cell)
    return Row(
        short(f"{cell.label} · {cell.metric}", LABEL_MAX),
        f"{wording.sign} {wording.heading}",
        words.ratio(cell),
        numbers.quantity(cell.value, metric_named(cell.metric).unit),
        str(cell.candidate_trials),
        words.detectable(cell),
    )


def _canary(canary: CanaryShift) -> tuple[str, ...]:
    shift = ABSENT if canary.shift is None else numbers.factor(canary.shift)
    reason = short(clean(canary.reason or ""), LABEL_MAX)
    return (short(canary.device, LABEL_MAX), canary.metric, shift, str(canary.canaries), reason)
