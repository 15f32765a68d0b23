"""Report a comparison: a line for each side, and a test case for each verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.domain.comparison import (
    Comparison,
    ComparisonGroup,
    ComparisonRow,
    Ratio,
    Side,
    Verdict,
)
from orchestrator.domain.gate import GateKind
from orchestrator.domain.sweep import setting_text, setting_texts
from orchestrator.reporting.report import Case, CaseOutcome, Report, Suite
from orchestrator.reporting.reports.comparison_keys import COMPARISON
from orchestrator.reporting.shape import (
    INTEGER,
    NUMBER,
    SETTING,
    TEXT,
    Key,
    OrNull,
    Shape,
    View,
)

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, slots=True)
class _SideLine:
    """Hold a side of a group: the base, or a cell against the base."""

    comparison: Comparison
    group: ComparisonGroup
    side: Side
    row: ComparisonRow | None

    @property
    def ratio(self) -> Ratio | None:
        return self.row.ratio if self.row else None

    @property
    def notes(self) -> tuple[str, ...]:
        return self.group.notes if self.row is None else self.row.notes


_ROW = View[_SideLine](
    "comparison-line",
    "One side of one group. The base's own row has the verdict `base`.",
    (
        Key("run", TEXT, "The run's id.", lambda line: line.comparison.run),
        Key("model", TEXT, "The model's name.", lambda line: line.group.model),
        Key("device", OrNull(TEXT), "The device; empty where devices are compared.", lambda line: line.group.device),
        Key("fixed", TEXT, "The coordinates that all cells of the group share.", lambda line: _fixed(line.group)),
        Key("by", TEXT, "The compared coordinate.", lambda line: line.comparison.by),
        Key("at", OrNull(SETTING), "The side's value of that coordinate.", lambda line: line.side.at),
        Key("metric", TEXT, "The metric; its name ends in its unit.", lambda line: line.comparison.metric.name),
        Key("trials", INTEGER, "How many trials count.", lambda line: line.side.trials),
        Key(
            "value",
            OrNull(NUMBER),
            "The geometric mean over trials, without those set aside.",
            lambda line: line.side.value,
        ),
        Key("ratio", OrNull(NUMBER), "The side over the base.", lambda line: line.ratio and line.ratio.value),
        Key("ratio_low", OrNull(NUMBER), "The interval's lower end.", lambda line: line.ratio and line.ratio.low),
        Key("ratio_high", OrNull(NUMBER), "The interval's upper end.", lambda line: line.ratio and line.ratio.high),
        Key("p_adjusted", OrNull(NUMBER), "The adjusted p-value.", lambda line: line.ratio and line.ratio.p_adjusted),
        Key("verdict", TEXT, "The verdict, or `base`.", lambda line: line.row.verdict.value if line.row else "base"),
        Key("size_bytes", OrNull(INTEGER), "The artifact's size.", lambda line: line.side.size_bytes),
        Key("accuracy", OrNull(NUMBER), "The accuracy.", lambda line: line.side.accuracy),
        Key(
            "outputs",
            OrNull(TEXT),
            "Whether the outputs agree with the base's.",
            lambda line: line.row.outputs.agreement.value if line.row else None,
        ),
        Key("notes", TEXT, "Notes, divided by semicolons.", lambda line: "; ".join(line.notes)),
        Key("word", TEXT, "The verdict in a word, or `base`.", lambda line: line.row.word if line.row else "base"),
        Key("set_aside", INTEGER, "How many trials were set aside.", lambda line: len(line.side.set_aside)),
        Key(
            "detectable",
            OrNull(NUMBER),
            "The smallest relative change that would have been seen.",
            lambda line: line.ratio and line.ratio.detectable,
        ),
        Key(
            "fails",
            TEXT,
            "Why the side fails a gate, divided by semicolons.",
            lambda line: "; ".join(reason.text for reason in line.row.reasons) if line.row else "",
        ),
        Key(
            "accuracy_p",
            OrNull(NUMBER),
            "The p-value of the difference in accuracy; empty where it was not compared input by input.",
            lambda line: line.row.accuracy_test.p_value if line.row and line.row.accuracy_test else None,
        ),
    ),
)


def _lines(whole: Comparison) -> Iterator[_SideLine]:
    for comparison in whole.in_each_metric():
        for group in comparison.groups:
            if group.base is not None:
                yield _SideLine(comparison, group, group.base, None)
            for row in group.rows:
                yield _SideLine(comparison, group, row.side, row)


COMPARE = Shape[Comparison](COMPARISON, _ROW, _lines)

_OUTCOMES: Mapping[Verdict, CaseOutcome] = {
    Verdict.IMPROVED: CaseOutcome.PASSED,
    Verdict.EQUIVALENT: CaseOutcome.PASSED,
    Verdict.REGRESSED: CaseOutcome.FAILURE,
    Verdict.DIFFERENT: CaseOutcome.PASSED,  # of a metric of which neither more nor less is better
    # None of these says that nothing got worse: a green case would.
    Verdict.INCONCLUSIVE: CaseOutcome.SKIPPED,
    Verdict.NOISY: CaseOutcome.SKIPPED,
    Verdict.ENVIRONMENT_CHANGED: CaseOutcome.SKIPPED,
    Verdict.NOT_COMPARABLE: CaseOutcome.SKIPPED,
}


def comparison_report(comparison: Comparison, *, details: bool = False) -> Report:
    """Return a comparison as a report. `details`: each of several metrics is drawn as a separate table."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.compare import CompareView
        from orchestrator.reporting.tables.compare_metrics import MetricsView

        return MetricsView(comparison, details) if comparison.further else CompareView(comparison)

    remarks = (
        *(f"fails ({reason.kind.value}): {reason}" for reason in comparison.reasons),
        *(f"warning ({warning.kind.value}): {warning}" for warning in comparison.warnings),
    )
    return Report(comparison, COMPARE, draw, lambda: _suites(comparison), remarks)


def _suites(comparison: Comparison) -> list[Suite]:
    whole = [
        Case(f"{comparison.metric.name} of the whole comparison", CaseOutcome.FAILURE, reason.text, reason.kind.value)
        for reason in comparison.overall
    ]
    return [Suite(comparison.run, tuple(whole))] * bool(whole) + [
        Suite(
            " · ".join(part for part in (comparison.run, group.model, group.device, _fixed(group)) if part),
            tuple(_case(part, row) for row in group.rows),
        )
        for part in comparison.in_each_metric()
        for group in part.groups
    ]


def _fixed(group: ComparisonGroup) -> str:
    return " ".join(setting_texts(group.fixed.items()))


def _case(comparison: Comparison, row: ComparisonRow) -> Case:
    at = setting_text(row.side.at)
    name = f"{comparison.metric.name}: {comparison.by} {at} against {comparison.base}"
    ratio = row.ratio
    figures = f"ratio {ratio.value:.4g}" if ratio else "no ratio"
    if ratio is not None and ratio.low is not None and ratio.high is not None:
        figures += f" [{ratio.low:.4g}, {ratio.high:.4g}]"
    message = f"{row.verdict.value.replace('-', ' ')}: {figures}"
    text = "\n".join((message, *row.notes, *(reason.text for reason in row.reasons)))
    if row.reasons:
        # The message of the verdict tells of the regression already, with figures.
        other = (reason.text for reason in row.reasons if reason.kind is not GateKind.REGRESSED)
        message = "; ".join((*(message for _ in range(row.verdict is Verdict.REGRESSED)), *other))
        return Case(name, CaseOutcome.FAILURE, message, row.reasons[0].kind.value, text)
    return Case(name, _OUTCOMES[row.verdict], message, row.verdict.value, text)
