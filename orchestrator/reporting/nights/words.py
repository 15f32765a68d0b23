"""Put the findings of a night into words and order, once for every output."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestrator.domain.metric import metric_named
from orchestrator.domain.night import Basis, LostDevice, NightCell, NightGroup, NightReport, NightState, NightVerdict
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.text import ABSENT, clean


class Tone(StrEnum):
    """Name how loudly a finding is shown. A sign always stands beside the colour."""

    BAD = "bad"
    DOUBT = "doubt"
    GOOD = "good"
    CALM = "calm"


@dataclass(frozen=True, slots=True)
class Wording:
    """Hold the words for a verdict.

    `heading` names the findings, `one` and `many` are the predicates of a cell and of several cells.
    """

    sign: str
    tone: Tone
    heading: str
    one: str
    many: str


_WORDINGS: Mapping[NightVerdict, Wording] = {
    NightVerdict.CONFIRMED: Wording("✗", Tone.BAD, "confirmed", "regressed", "regressed"),
    NightVerdict.DOES_NOT_LOAD: Wording("✗", Tone.BAD, "not loading", "does not load", "do not load"),
    NightVerdict.MISSING: Wording("○", Tone.BAD, "missing", "is missing", "are missing"),
    NightVerdict.SUSPECTED: Wording("?", Tone.DOUBT, "suspected", "is suspected", "are suspected"),
    NightVerdict.ENVIRONMENT_CHANGED: Wording(
        "≠", Tone.DOUBT, "environment changed", "moved with its environment", "moved with their environment"
    ),
    NightVerdict.INCONCLUSIVE: Wording("~", Tone.DOUBT, "inconclusive", "was not judged", "were not judged"),
    NightVerdict.QUARANTINED: Wording("=", Tone.CALM, "quarantined", "is quarantined", "are quarantined"),
    NightVerdict.FIXED: Wording("+", Tone.GOOD, "fixed", "is fixed", "are fixed"),
    NightVerdict.IMPROVED: Wording("+", Tone.GOOD, "improved", "improved", "improved"),
    NightVerdict.CLEAN: Wording("✓", Tone.CALM, "clean", "is clean", "are clean"),
}
KNOWN = Wording("·", Tone.CALM, "acknowledged", "is known to be worse", "are known to be worse")
"""The words for a regression that somebody has acknowledged, whatever the verdict is."""
LOST = Wording("!", Tone.BAD, "lost devices", "was lost", "were lost")

_ORDER = (
    NightVerdict.CONFIRMED,
    NightVerdict.DOES_NOT_LOAD,
    NightVerdict.MISSING,
    NightVerdict.SUSPECTED,
    NightVerdict.ENVIRONMENT_CHANGED,
    NightVerdict.INCONCLUSIVE,
    NightVerdict.QUARANTINED,
    NightVerdict.FIXED,
    NightVerdict.IMPROVED,
)
_TALLIED = (
    NightVerdict.CONFIRMED,
    NightVerdict.DOES_NOT_LOAD,
    NightVerdict.MISSING,
    NightVerdict.SUSPECTED,
    NightVerdict.QUARANTINED,
)
_BASES: Mapping[Basis, str] = {
    Basis.RERUN: "interleaved rerun of this night",
    Basis.HISTORY: "history of the cell",
    Basis.RUNS: "values of two runs",
}


@dataclass(frozen=True, slots=True)
class Section:
    """Hold the groups of cells with a verdict. Acknowledged regressions have a separate section."""

    wording: Wording
    groups: tuple[NightGroup, ...]

    @property
    def cells(self) -> int:
        """Return the number of cells. A cell in two metrics counts once."""
        return cells_in(cell for group in self.groups for cell in group.cells)


def cells_in(conclusions: Iterable[NightCell]) -> int:
    """Return of how many cells conclusions are. A night concludes about each metric of a cell."""
    return len({(one.cell.device, one.slot) for one in conclusions})


def wording_of(verdict: NightVerdict) -> Wording:
    """Return the words for a verdict."""
    return _WORDINGS[verdict]


def spelled(word: StrEnum) -> str:
    """Return a public word as people write the word."""
    return word.value.replace("-", " ")


def mood(report: NightReport) -> tuple[str, Tone]:
    """Return the sign and the tone of the whole night."""
    if report.lost or any(cell.fails for cell in report.cells):
        return "✗", Tone.BAD
    if report.state is not NightState.COMPLETE or report.counts[NightVerdict.SUSPECTED]:
        return "?", Tone.DOUBT
    return "✓", Tone.GOOD


def wording(cell: NightCell) -> Wording:
    """Return the words for a cell's verdict."""
    return KNOWN if cell.known else _WORDINGS[cell.verdict]


def sections(report: NightReport) -> tuple[Section, ...]:
    """Return the findings, the worst first. Clean cells are no finding."""
    by_wording: dict[Wording, list[NightGroup]] = {_WORDINGS[verdict]: [] for verdict in _ORDER}
    # Last: nobody has to act on what a person has acknowledged.
    by_wording[KNOWN] = []
    for group in report.groups:
        if group.first.verdict is not NightVerdict.CLEAN:
            by_wording[wording(group.first)].append(group)
    return tuple(Section(words, tuple(groups)) for words, groups in by_wording.items() if groups)


@dataclass(frozen=True, slots=True)
class Tally:
    """Hold a figure of the first screen."""

    sign: str
    tone: Tone
    name: str
    figure: str
    remark: str = ""


def tallies(report: NightReport) -> tuple[Tally, ...]:
    """Return the figures of the first screen: confirmed, suspected, missing, quarantined, and the detectable change."""
    tiles = []
    for verdict in _TALLIED:
        cells, words = [cell for cell in report.cells if cell.verdict is verdict], _WORDINGS[verdict]
        new, old = (cells_in(cell for cell in cells if cell.known is known) for known in (False, True))
        known = f"and {old} acknowledged" if old else ""
        # Always there are the figures that a reader looks for each morning.
        if cells or verdict is not NightVerdict.DOES_NOT_LOAD:
            tiles.append(Tally(words.sign, words.tone if new else Tone.CALM, words.heading, str(new), known))
    if report.lost:
        tiles.append(Tally(LOST.sign, LOST.tone, LOST.heading, str(devices_in(report.lost))))
    return (*tiles, _detectable(report))


def headline(report: NightReport) -> str:
    """Return the night in a sentence."""
    failing = [group for group in report.groups if group.first.fails]
    parts = []
    if failing:
        cells = cells_in(cell for group in failing for cell in group.cells)
        causes = f", {counted(len(failing), 'cause')}" if cells != len(failing) else ""
        parts.append(f"{counted(cells, 'cell')} got worse{causes}")
    if report.lost:
        parts.append(f"{counted(devices_in(report.lost), 'device')} lost")
    suspected = cells_in(cell for cell in report.cells if cell.verdict is NightVerdict.SUSPECTED)
    if suspected:
        parts.append(f"{counted(suspected, 'cell')} suspected")
    if not parts:
        parts.append("nothing got worse" if report.cells else "nothing was measured")
    ending = "" if report.state is NightState.COMPLETE else f"; the night is {spelled(report.state)}"
    return f"{', '.join(parts)}{ending}"


def group_line(group: NightGroup) -> str:
    """Return a group in a sentence without the device: 8 cells regressed, latency_ns ×1.044 to ×1.062."""
    first = group.first
    words = wording(first)
    if len(group.cells) == 1:
        return ", ".join(filter(None, (f"{first.label} {words.one}", change(first))))
    return ", ".join(filter(None, (f"{len(group.cells)} cells {words.many}", _span(group))))


def change(cell: NightCell) -> str:
    """Return the metric with the cell's ratio and interval, or else with both values."""
    if cell.estimate is None:
        both = cell.value is not None and cell.expected is not None
        return f"{cell.metric} {values(cell)}" if both else cell.metric
    return f"{cell.metric} {ratio(cell)}"


def ratio(cell: NightCell) -> str:
    """Return the candidate over the baseline with the interval, or the sign for an absent value."""
    if cell.estimate is None:
        return ABSENT
    interval = numbers.interval(cell.estimate.low, cell.estimate.high)
    return f"{numbers.factor(cell.estimate.ratio)} {interval}".rstrip()


def values(cell: NightCell) -> str:
    """Return the baseline's value, and the candidate's value."""
    unit = metric_named(cell.metric).unit
    before, after = baseline_value(cell), candidate_value(cell)
    if before is None:
        return numbers.quantity(after, unit)
    return f"{numbers.quantity(before, unit)} → {numbers.quantity(after, unit)}"


def baseline_value(cell: NightCell) -> float | None:
    """Return the baseline's measured value behind the ratio of a cell, or the history's expectation."""
    if cell.estimate is None or cell.estimate.basis is Basis.HISTORY:
        return cell.expected
    # After a rerun `expected` is still the history's, another number than the rerun's baseline.
    return cell.estimate.before


def candidate_value(cell: NightCell) -> float | None:
    """Return the candidate's measured value behind the ratio of a cell, or the value of the first look."""
    after = None if cell.estimate is None else cell.estimate.after
    return cell.value if after is None else after


def trials(cell: NightCell) -> str:
    """Return how many trials each side has."""
    if cell.estimate is not None and cell.estimate.basis is Basis.HISTORY:
        return f"n = {cell.candidate_trials} against earlier nights"
    return f"n = {cell.candidate_trials} against {cell.baseline_trials}"


def detectable(cell: NightCell) -> str:
    """Return the smallest change detectable in the night."""
    return ABSENT if cell.detectable is None else numbers.percent(cell.detectable)


def figures(cell: NightCell) -> Iterable[str]:
    """Yield the figures behind a verdict, each in words."""
    if cell.value is not None:
        yield values(cell)
    if cell.candidate_trials or cell.baseline_trials:
        yield trials(cell)
    if cell.estimate is not None:
        yield f"by the {_BASES[cell.estimate.basis]}"
    yield from (f"set aside: {one}" for one in cell.set_aside)
    if cell.detectable is not None:
        yield f"a change of {detectable(cell)} would be seen"
    if cell.regression is not None:
        yield f"regression {cell.regression} (benchfleet regressions show {cell.regression})"
    if cell.since is not None:
        yield f"since {cell.since}"
    if cell.baseline_runs:
        yield f"baseline runs {', '.join(cell.baseline_runs)}"
    if cell.candidate_runs:
        yield f"candidate runs {', '.join(cell.candidate_runs)}"


def devices_in(lost: Iterable[LostDevice]) -> int:
    """Return how many devices were lost. A device lost in several stages counts once."""
    return len({one.device for one in lost})


def lost_line(lost: LostDevice) -> str:
    """Return the fate of a lost device, without the name of the device."""
    return f"lost in the {spelled(lost.stage)}, {counted(lost.cells, 'cell')} without a value"


def counted(number: int, noun: str) -> str:
    """Return a number with a noun, in the plural where needed."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def title(report: NightReport) -> str:
    """Return the names of a night: nightly and id."""
    return f"{clean(report.nightly)} · night {clean(report.night)}"


def facts(
    report: NightReport, most: int = 5, when: Callable[[datetime], str] = numbers.utc
) -> Iterable[tuple[str, str]]:
    """Yield the facts about the night as a whole, each fact with a name. At most `most` lines describe a side.

    `when` writes a time.
    """
    yield "state", spelled(report.state)
    if report.exit_code is not None:
        yield "exit code", f"{int(report.exit_code)} ({report.exit_code.name.lower()})"
    yield "began", when(report.began_at)
    if report.ended_at is not None:
        yield "ended", when(report.ended_at)
    yield from _side("candidate", report.candidate, most)
    yield from _side("baseline", report.baseline, most)
    yield "devices", ", ".join(report.devices)
    yield "device time", device_time(report)
    yield from (("note", note) for note in report.notes)


def _side(name: str, lines: Sequence[str], most: int) -> Iterable[tuple[str, str]]:
    yield from ((name, line) for line in lines[:most])
    if len(lines) > most:
        yield name, f"and {counted(len(lines) - most, 'more line')}"


def device_time(report: NightReport) -> str:
    """Return the device time, and the share of reruns beyond the plain night."""
    plain = report.device_time_s - report.extra_s
    spent = numbers.duration(report.device_time_s)
    if plain <= 0:
        return spent
    share, allowed = numbers.percent(report.extra_s / plain), numbers.percent(report.allowance)
    return f"{spent}; reruns took {share} beyond the plain night (allowed in the long run: {allowed})"


def _span(group: NightGroup) -> str:
    ratios = sorted(cell.estimate.ratio for cell in group.cells if cell.estimate is not None)
    if not ratios:
        return group.first.metric
    low, high = numbers.factor(ratios[0]), numbers.factor(ratios[-1])
    # As printed: two ratios that read the same are one to a reader.
    return f"{group.first.metric} {low}" + (f" to {high}" if high != low else "")


def _detectable(report: NightReport) -> Tally:
    by_metric: dict[str, list[float]] = {}
    for cell in report.cells:
        if cell.detectable is not None:
            by_metric.setdefault(cell.metric, []).append(cell.detectable)
    name = "detectable change"
    if not by_metric:
        return Tally("Δ", Tone.CALM, name, ABSENT, "no cell has enough trials")
    # Of one metric: a tail is noisier than a median, and no figure stands for both.
    metric = max(by_metric, key=lambda one: len(by_metric[one]))
    seen = sorted(by_metric[metric])
    usual, wide = numbers.percent(statistics.median(seen)), numbers.percent(_ninth_tenth(seen))
    return Tally("Δ", Tone.CALM, name, usual, f"of {metric} in half of the cells; {wide} in 9 of 10")


def _ninth_tenth(values: Sequence[float]) -> float:
    return values[min(len(values) - 1, -(-9 * len(values) // 10) - 1)] if values else 0.0
