"""Declare a night: cells with verdicts, lost devices, canaries and runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.domain.night import (
    Basis,
    CanaryShift,
    LostDevice,
    NightCell,
    NightEstimate,
    NightGroup,
    NightPoint,
    NightReport,
    NightRun,
    NightStage,
    NightState,
    NightVerdict,
)
from orchestrator.domain.sweep import setting_texts
from orchestrator.reporting.nights import words
from orchestrator.reporting.nights.summary import summary
from orchestrator.reporting.report import Case, CaseOutcome, Report, Suite
from orchestrator.reporting.shape import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    SETTING,
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

ESTIMATE = View[NightEstimate](
    "night-estimate",
    "Candidate over baseline.",
    (
        Key("basis", OneOf(Basis), "What the ratio stands on.", lambda estimate: estimate.basis),
        Key("ratio", NUMBER, "The ratio.", lambda estimate: estimate.ratio),
        Key("low", OrNull(NUMBER), "The lower end of its 95 % interval.", lambda estimate: estimate.low),
        Key("high", OrNull(NUMBER), "The upper end.", lambda estimate: estimate.high),
        Key("before", OrNull(NUMBER), "The baseline's value behind the ratio.", lambda estimate: estimate.before),
        Key("after", OrNull(NUMBER), "The candidate's value behind the ratio.", lambda estimate: estimate.after),
    ),
)
POINT = View[NightPoint](
    "night-point",
    "A cell in one earlier night.",
    (
        Key("night", TEXT, "The night's id.", lambda point: point.night),
        Key("began_at", TIME, "When the night began.", lambda point: point.began_at),
        Key("value", OrNull(NUMBER), "The value in the metric's unit; null without one.", lambda point: point.value),
        Key("verdict", OneOf(NightVerdict), "The verdict of that night.", lambda point: point.verdict),
    ),
)
NIGHT_CELL = View[NightCell](
    "night-cell",
    "What a night concluded about one metric of one cell.",
    (
        Key("device", TEXT, "The device's name.", lambda cell: cell.cell.device),
        Key("model", TEXT, "The model's name.", lambda cell: cell.cell.model),
        Key("variant", TEXT, "The variant's name.", lambda cell: cell.cell.variant),
        Key("runtime", TEXT, "The candidate's runtime.", lambda cell: cell.cell.runtime),
        Key("settings", MapOf(SETTING, "setting"), "The matrix settings.", lambda cell: cell.cell.settings),
        Key("metric", TEXT, "The metric; its name ends in its unit.", lambda cell: cell.metric),
        Key("sweep", TEXT, "The sweep.", lambda cell: cell.sweep),
        Key("slot", TEXT, "What names the cell from night to night.", lambda cell: cell.slot),
        Key("verdict", OneOf(NightVerdict), "The verdict.", lambda cell: cell.verdict),
        Key("fails", BOOLEAN, "Whether the cell fails the night.", lambda cell: cell.fails),
        Key("known", BOOLEAN, "Whether its regression is acknowledged.", lambda cell: cell.known),
        Key("group", TEXT, "Equal for cells that moved together on one device.", lambda cell: cell.group),
        Key("reason", TEXT, "Why this verdict.", lambda cell: cell.reason),
        Key("value", OrNull(NUMBER), "The candidate's value tonight.", lambda cell: cell.value),
        Key("expected", OrNull(NUMBER), "The value that earlier nights let expect.", lambda cell: cell.expected),
        Key("estimate", OrNull(ESTIMATE), "The candidate over the baseline.", lambda cell: cell.estimate),
        Key("baseline_trials", INTEGER, "How many trials of the baseline count.", lambda cell: cell.baseline_trials),
        Key("candidate_trials", INTEGER, "How many trials of the candidate count.", lambda cell: cell.candidate_trials),
        Key("set_aside", ListOf(TEXT), "Which trials were left out, and why.", lambda cell: cell.set_aside),
        Key(
            "detectable",
            OrNull(NUMBER),
            "The smallest relative change that the night would have shown, four times in five.",
            lambda cell: cell.detectable,
        ),
        Key("baseline_runs", ListOf(TEXT), "The runs of the baseline.", lambda cell: cell.baseline_runs),
        Key("candidate_runs", ListOf(TEXT), "The runs of the candidate.", lambda cell: cell.candidate_runs),
        Key("regression", OrNull(INTEGER), "The id of the regression.", lambda cell: cell.regression),
        Key("since", OrNull(TEXT), "Since which night or date the cell is so.", lambda cell: cell.since),
        Key("sql", TEXT, "A statement for `benchfleet sql` about the cell's trials.", lambda cell: cell.sql),
        Key("rerun", TEXT, "The command that measures the cell again.", lambda cell: cell.rerun),
        Key("history", ListOf(POINT), "Earlier nights, the last one last.", lambda cell: cell.history),
    ),
)
NIGHT_GROUP = View[NightGroup](
    "night-group",
    "Cells that moved together on one device.",
    (
        Key("group", TEXT, "The key of its cells.", lambda group: group.first.group),
        Key("device", TEXT, "The device's name.", lambda group: group.first.cell.device),
        Key("metric", TEXT, "The metric.", lambda group: group.first.metric),
        Key("verdict", OneOf(NightVerdict), "The verdict.", lambda group: group.first.verdict),
        Key("fails", BOOLEAN, "Whether the cells fail the night.", lambda group: group.first.fails),
        Key("cells", INTEGER, "How many cells.", lambda group: len(group.cells)),
        Key("text", TEXT, "The group in a sentence.", words.group_line),
    ),
)
LOST_DEVICE = View[LostDevice](
    "night-lost-device",
    "A device that a stage of the night could not use.",
    (
        Key("device", TEXT, "The device's name.", lambda lost: lost.device),
        Key("stage", OneOf(NightStage), "The stage.", lambda lost: lost.stage),
        Key("error", TEXT, "Why.", lambda lost: lost.error),
        Key("hint", OrNull(TEXT), "What to do.", lambda lost: lost.hint),
        Key("cells", INTEGER, "How many cells have no value for it.", lambda lost: lost.cells),
    ),
)
CANARY = View[CanaryShift](
    "night-canary",
    "How far a device as a whole has drifted, by models that never change.",
    (
        Key("device", TEXT, "The device's name.", lambda canary: canary.device),
        Key("metric", TEXT, "The metric.", lambda canary: canary.metric),
        Key("shift", OrNull(NUMBER), "A ratio to the usual; it is taken from every cell.", lambda canary: canary.shift),
        Key("canaries", INTEGER, "How many canaries have a value.", lambda canary: canary.canaries),
        Key("reason", OrNull(TEXT), "Why nothing is known of the shift.", lambda canary: canary.reason),
    ),
)
RUN_OF_NIGHT = View[NightRun](
    "night-run",
    "A run of the night.",
    (
        Key("stage", OneOf(NightStage), "The stage.", lambda run: run.stage),
        Key("sweep", TEXT, "The sweep.", lambda run: run.sweep),
        Key("run", TEXT, "The run's id.", lambda run: run.run),
        Key("look", INTEGER, "Which look of the confirmation, from 1; else 0.", lambda run: run.look),
    ),
)
NIGHT_REPORT = View[NightReport](
    "night",
    "One night of a nightly in full.",
    (
        Key("night", TEXT, "The night's id.", lambda report: report.night),
        Key("nightly", TEXT, "The nightly's name.", lambda report: report.nightly),
        Key("began_at", TIME, "When the night began.", lambda report: report.began_at),
        Key("ended_at", OrNull(TIME), "When it ended; null while it is under way.", lambda report: report.ended_at),
        Key("state", OneOf(NightState), "Where the night stands.", lambda report: report.state),
        Key("exit_code", OrNull(INTEGER), "The exit code of `nightly run`.", lambda report: _code(report)),
        Key("headline", TEXT, "The night in a sentence.", words.headline),
        Key(
            "counts",
            MapOf(INTEGER, "verdict"),
            "How many verdicts of each kind there are: a cell has one in each metric.",
            lambda report: report.counts,
        ),
        Key("candidate", ListOf(TEXT), "What was under test.", lambda report: report.candidate),
        Key("baseline", ListOf(TEXT), "What it was compared with.", lambda report: report.baseline),
        Key("devices", ListOf(TEXT), "The devices.", lambda report: report.devices),
        Key("device_time_s", NUMBER, "Device time in seconds, over all devices.", lambda report: report.device_time_s),
        Key("extra_s", NUMBER, "The part of it for second looks and confirmations.", lambda report: report.extra_s),
        Key("allowance", NUMBER, "The share of the plain time allowed for them.", lambda report: report.allowance),
        Key("groups", ListOf(NIGHT_GROUP), "The cells in groups.", lambda report: report.groups),
        Key("cells", ListOf(NIGHT_CELL), "Every cell.", lambda report: report.cells),
        Key("lost", ListOf(LOST_DEVICE), "Devices that were lost.", lambda report: report.lost),
        Key("canaries", ListOf(CANARY), "The drift of devices.", lambda report: report.canaries),
        Key("runs", ListOf(RUN_OF_NIGHT), "The runs, in order.", lambda report: report.runs),
        Key("notes", ListOf(TEXT), "What else is to be known, annotations included.", lambda report: report.notes),
    ),
)
_ROW = View[NightCell](
    "night-row",
    "One metric of one cell. A device that was lost has rows of its cells alone.",
    (
        Key("device", TEXT, "The device's name.", lambda cell: cell.cell.device),
        Key("model", TEXT, "The model's name.", lambda cell: cell.cell.model),
        Key("variant", TEXT, "The variant's name.", lambda cell: cell.cell.variant),
        Key("runtime", TEXT, "The candidate's runtime.", lambda cell: cell.cell.runtime),
        Key("settings", TEXT, "The matrix settings, as name=value.", lambda cell: _settings(cell)),
        Key("metric", TEXT, "The metric.", lambda cell: cell.metric),
        Key("verdict", TEXT, "The verdict.", lambda cell: cell.verdict.value),
        Key("fails", BOOLEAN, "Whether the cell fails the night.", lambda cell: cell.fails),
        Key("reason", TEXT, "Why this verdict.", lambda cell: cell.reason),
        Key("value", OrNull(NUMBER), "The candidate's value.", lambda cell: cell.value),
        Key("ratio", OrNull(NUMBER), "Over the baseline.", lambda cell: cell.estimate and cell.estimate.ratio),
        Key("ratio_low", OrNull(NUMBER), "The lower end.", lambda cell: cell.estimate and cell.estimate.low),
        Key("ratio_high", OrNull(NUMBER), "The upper end.", lambda cell: cell.estimate and cell.estimate.high),
        Key("baseline_trials", INTEGER, "Trials of the baseline.", lambda cell: cell.baseline_trials),
        Key("candidate_trials", INTEGER, "Trials of the candidate.", lambda cell: cell.candidate_trials),
        Key("detectable", OrNull(NUMBER), "The smallest change that would be seen.", lambda cell: cell.detectable),
        Key("regression", OrNull(INTEGER), "The id of the regression.", lambda cell: cell.regression),
        Key("rerun", TEXT, "The command that measures the cell again.", lambda cell: cell.rerun),
    ),
)
NIGHT = Shape[NightReport](NIGHT_REPORT, _ROW, lambda report: report.cells)

_OUTCOMES: Mapping[NightVerdict, CaseOutcome] = {
    NightVerdict.CLEAN: CaseOutcome.PASSED,
    NightVerdict.IMPROVED: CaseOutcome.PASSED,
    NightVerdict.FIXED: CaseOutcome.PASSED,
    NightVerdict.CONFIRMED: CaseOutcome.FAILURE,
    NightVerdict.MISSING: CaseOutcome.FAILURE,
    NightVerdict.DOES_NOT_LOAD: CaseOutcome.FAILURE,
    # None of these says that nothing got worse: a green case would.
    NightVerdict.SUSPECTED: CaseOutcome.SKIPPED,
    NightVerdict.INCONCLUSIVE: CaseOutcome.SKIPPED,
    NightVerdict.QUARANTINED: CaseOutcome.SKIPPED,
    NightVerdict.ENVIRONMENT_CHANGED: CaseOutcome.SKIPPED,
}


def night_report(report: NightReport) -> Report:
    """Return a night as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.night import night_table

        return night_table(report)

    return Report(report, NIGHT, draw, lambda: [*_suites(report)], page=lambda: summary(report))


def _code(report: NightReport) -> int | None:
    return None if report.exit_code is None else int(report.exit_code)


def _settings(cell: NightCell) -> str:
    return " ".join(setting_texts(sorted(cell.cell.settings.items())))


def _suites(report: NightReport) -> Iterator[Suite]:
    """Yield a suite for each device: a case for each loss of the device, and for each cell."""
    by_device: dict[str, list[Case]] = {device: [] for device in report.devices}
    for lost in report.lost:
        by_device.setdefault(lost.device, []).append(_lost_case(lost))
    for cell in report.cells:
        by_device.setdefault(cell.cell.device, []).append(_case(cell))
    for device, cases in by_device.items():
        if cases:
            yield Suite(f"{report.nightly} · {device}", tuple(_distinct(cases)))


def _distinct(cases: Sequence[Case]) -> Iterator[Case]:
    """Number repeated names: two sweeps may have the same cell, and a build server tells cases apart by name."""
    seen: Counter[str] = Counter()
    for case in cases:
        seen[case.name] += 1
        yield case if seen[case.name] == 1 else replace(case, name=f"{case.name} ({seen[case.name]})")


def _lost_case(lost: LostDevice) -> Case:
    hint = f"\nhint: {lost.hint}" if lost.hint else ""
    line = words.lost_line(lost)
    return Case(f"device in the {words.spelled(lost.stage)}", CaseOutcome.ERROR, lost.error, "lost", f"{line}{hint}")


def _case(cell: NightCell) -> Case:
    # A regression that somebody has acknowledged fails no night, and is no pass either.
    outcome = CaseOutcome.SKIPPED if cell.known else _OUTCOMES[cell.verdict]
    word = words.wording(cell).heading
    message = f"{word}: {words.ratio(cell)}; {cell.reason}" if cell.estimate is not None else f"{word}: {cell.reason}"
    lines = [message, *words.figures(cell)]
    lines += [f"{name}: {text}" for name, text in (("rerun", cell.rerun), ("SQL", cell.sql)) if text]
    text = "\n".join(lines) if outcome is not CaseOutcome.PASSED else message
    return Case(f"{cell.label} · {cell.metric}", outcome, message, cell.verdict.value, text)
