"""Declare the keys of a comparison: groups, sides, ratios and verdicts."""

from __future__ import annotations

from orchestrator.domain.comparison import (
    AccuracyMethod,
    AccuracyTest,
    Agreement,
    Comparison,
    ComparisonGroup,
    ComparisonRow,
    Kind,
    MetricRow,
    OutputsAgreement,
    Ratio,
    Side,
    Tolerance,
    TrialsRange,
    Verdict,
)
from orchestrator.domain.gate import GateKind, GateReason
from orchestrator.domain.metric import Direction, Metric, Unit
from orchestrator.reporting.shape import (
    INTEGER,
    NUMBER,
    SETTING,
    TEXT,
    Key,
    ListOf,
    MapOf,
    OneOf,
    OrNull,
    View,
)

METRIC = View[Metric](
    "metric",
    "What is compared.",
    (
        Key("name", TEXT, "The metric's name.", lambda metric: metric.name),
        Key("unit", OneOf(Unit), "The unit; `1` is a plain number.", lambda metric: metric.unit),
        Key("direction", OneOf(Direction), "Which way is better.", lambda metric: metric.direction),
        Key("min_effect", NUMBER, "The metric's own smallest change that matters.", lambda metric: metric.min_effect),
    ),
)
TOLERANCE = View[Tolerance](
    "tolerance",
    "Outputs agree where |other - base| <= absolute + relative x |base| for every value.",
    (
        Key("absolute", NUMBER, "How far a value may differ.", lambda tolerance: tolerance.absolute),
        Key("relative", NUMBER, "How much further, as a share of the base.", lambda tolerance: tolerance.relative),
    ),
)
SIDE = View[Side](
    "side",
    "One cell of a comparison.",
    (
        Key("at", OrNull(SETTING), "The cell's value of the compared coordinate.", lambda side: side.at),
        Key("trials", INTEGER, "How many trials count.", lambda side: side.trials),
        Key(
            "value", OrNull(NUMBER), "The geometric mean over trials, without those set aside.", lambda side: side.value
        ),
        Key(
            "spread",
            OrNull(NUMBER),
            "The standard deviation of the trial values' logarithms.",
            lambda side: side.spread,
        ),
        Key("size_bytes", OrNull(INTEGER), "The artifact's size.", lambda side: side.size_bytes),
        Key(
            "accuracy",
            OrNull(NUMBER),
            "The accuracy measured by the preflight, or else the median over trials.",
            lambda side: side.accuracy,
        ),
        Key("invalid", INTEGER, "How many trials broke a condition.", lambda side: side.invalid),
        Key("failed", INTEGER, "How many trials failed.", lambda side: side.failed),
        Key("missing", INTEGER, "How many trials have not run.", lambda side: side.missing),
        Key("without_metric", INTEGER, "How many did not measure this metric.", lambda side: side.without_metric),
        Key("rejected", OrNull(TEXT), "Why the preflight rejected the cell.", lambda side: side.rejected),
        Key("sources", ListOf(TEXT), "The power sources of a figure of power.", lambda side: side.sources),
        Key(
            "set_aside",
            ListOf(NUMBER),
            "Trials too far off the others to be in the value, each as a multiple of the value.",
            lambda side: side.set_aside,
        ),
        Key("accuracy_metric", OrNull(TEXT), "The metric of the accuracy.", lambda side: side.accuracy_metric),
        Key(
            "clipped_ratio",
            OrNull(NUMBER),
            "The share of its numbers that a quantised input clips; null where none is quantised, or nobody counted.",
            lambda side: side.clipped_ratio,
        ),
    ),
)
RATIO = View[Ratio](
    "ratio",
    "Other over base: a ratio of geometric means over trials.",
    (
        Key("value", NUMBER, "The ratio.", lambda ratio: ratio.value),
        Key("low", OrNull(NUMBER), "The interval's lower end.", lambda ratio: ratio.low),
        Key("high", OrNull(NUMBER), "The interval's upper end.", lambda ratio: ratio.high),
        Key("p_value", OrNull(NUMBER), "The p-value of this pair alone.", lambda ratio: ratio.p_value),
        Key(
            "p_adjusted",
            OrNull(NUMBER),
            "The p-value, adjusted for all pairs of the comparison.",
            lambda ratio: ratio.p_adjusted,
        ),
        Key(
            "p_equivalent",
            OrNull(NUMBER),
            "The p-value of equivalence within the smallest change that matters.",
            lambda ratio: ratio.p_equivalent,
        ),
        Key(
            "detectable",
            OrNull(NUMBER),
            "The smallest relative change that would have been seen, four times in five.",
            lambda ratio: ratio.detectable,
        ),
    ),
)
OUTPUTS = View[OutputsAgreement](
    "outputs-agreement",
    "Whether two cells computed the same from the same inputs.",
    (
        Key("agreement", OneOf(Agreement), "Whether the outputs agree.", lambda outputs: outputs.agreement),
        Key("max_difference", OrNull(NUMBER), "The largest difference.", lambda outputs: outputs.max_difference),
        Key(
            "outside_tolerance",
            OrNull(INTEGER),
            "How many values differ by more than the tolerance.",
            lambda outputs: outputs.outside_tolerance,
        ),
        Key("not_a_number", OrNull(INTEGER), "How many values are NaN.", lambda outputs: outputs.not_a_number),
        Key("inputs", OrNull(INTEGER), "How many inputs were compared.", lambda outputs: outputs.inputs),
        Key("top1_same", OrNull(INTEGER), "For how many the top-1 is the same.", lambda outputs: outputs.top1_same),
        Key("reason", OrNull(TEXT), "Why outputs could not be compared.", lambda outputs: outputs.reason),
        Key("figures", MapOf(NUMBER, "metric"), "The metrics of agreement.", lambda outputs: outputs.figures),
        Key("absent", MapOf(TEXT, "metric"), "Why a metric has no value.", lambda outputs: outputs.absent),
    ),
)
TRIALS_RANGE = View[TrialsRange](
    "trials-range",
    "How many trials a side would probably settle a verdict, those there are included.",
    (
        Key("fewest", INTEGER, "With luck.", lambda trials: trials.fewest),
        Key("most", INTEGER, "In four of five cases no more.", lambda trials: trials.most),
    ),
)
GATE_REASON = View[GateReason](
    "gate-reason",
    "A reason for `compare --fail-on-regression` to exit with 1.",
    (
        Key("kind", OneOf(GateKind), "The kind of reason.", lambda reason: reason.kind),
        Key("cell", OrNull(TEXT), "The cell in words; null for the whole comparison.", lambda reason: reason.cell),
        Key("text", TEXT, "The reason with its figures.", lambda reason: reason.text),
    ),
)
ACCURACY_TEST = View[AccuracyTest](
    "accuracy-test",
    "What the same inputs say of two accuracies, other minus base.",
    (
        Key("method", OneOf(AccuracyMethod), "How the accuracies were compared.", lambda test: test.method),
        Key("verdict", OneOf(Verdict), "What the inputs allow to be said.", lambda test: test.verdict),
        Key("inputs", OrNull(INTEGER), "How many inputs both saw; null where unpaired.", lambda test: test.inputs),
        Key("difference", OrNull(NUMBER), "The difference over these inputs.", lambda test: test.difference),
        Key("low", OrNull(NUMBER), "The interval's lower end.", lambda test: test.low),
        Key("high", OrNull(NUMBER), "The interval's upper end.", lambda test: test.high),
        Key("p_value", OrNull(NUMBER), "The p-value of a difference.", lambda test: test.p_value),
        Key("only_base", OrNull(INTEGER), "How many the base alone got right.", lambda test: test.only_base),
        Key("only_other", OrNull(INTEGER), "How many the cell alone got right.", lambda test: test.only_other),
        Key("reason", OrNull(TEXT), "Why the sides are not paired.", lambda test: test.reason),
    ),
)
METRIC_ROW = View[MetricRow](
    "metric-row",
    "The verdict on one cell in one further metric. The keys mean what those of the row mean.",
    (
        Key("metric", METRIC, "The metric.", lambda row: row.metric),
        Key("min_effect", NUMBER, "The smallest change that matters.", lambda row: row.min_effect),
        Key("base", OrNull(SIDE), "The base; null where the group has none.", lambda row: row.base),
        Key("side", SIDE, "The cell.", lambda row: row.side),
        Key("verdict", OneOf(Verdict), "What the trials allow to be said.", lambda row: row.verdict),
        Key("ratio", OrNull(RATIO), "The cell over the base.", lambda row: row.ratio),
        Key("trials_more", OrNull(INTEGER), "As in the row.", lambda row: row.trials_more),
        Key("trials_total", OrNull(TRIALS_RANGE), "As in the row.", lambda row: row.trials_total),
        Key("word", TEXT, "The verdict in a word.", lambda row: row.word),
        Key("notes", ListOf(TEXT), "What the figures do not say by themselves.", lambda row: row.notes),
        Key(
            "bought",
            OrNull(TEXT),
            "Why a better value is `not-comparable`: more accuracy was lost than allowed.",
            lambda row: row.bought,
        ),
        Key("reasons", ListOf(GATE_REASON), "Why the metric fails a gate.", lambda row: row.reasons),
    ),
)
COMPARISON_ROW = View[ComparisonRow](
    "comparison-row",
    "One cell against the base of its group.",
    (
        Key("side", SIDE, "The cell.", lambda row: row.side),
        Key("verdict", OneOf(Verdict), "What the trials allow to be said.", lambda row: row.verdict),
        Key("ratio", OrNull(RATIO), "The cell over the base.", lambda row: row.ratio),
        Key(
            "trials_more",
            OrNull(INTEGER),
            "How many more trials a side would probably settle an inconclusive verdict.",
            lambda row: row.trials_more,
        ),
        Key("size_ratio", OrNull(NUMBER), "The artifact's size over the base's.", lambda row: row.size_ratio),
        Key(
            "accuracy_difference",
            OrNull(NUMBER),
            "The accuracy minus the base's.",
            lambda row: row.accuracy_difference,
        ),
        Key("outputs", OUTPUTS, "Whether the outputs agree with the base's.", lambda row: row.outputs),
        Key("notes", ListOf(TEXT), "What the figures do not say by themselves.", lambda row: row.notes),
        Key(
            "bought",
            OrNull(TEXT),
            "Why a better value is `not-comparable`: more accuracy was lost than allowed.",
            lambda row: row.bought,
        ),
        Key("word", TEXT, "The verdict in a word that suits the metric, such as slower.", lambda row: row.word),
        Key(
            "trials_total",
            OrNull(TRIALS_RANGE),
            "How many trials a side would probably settle an inconclusive verdict.",
            lambda row: row.trials_total,
        ),
        Key("reasons", ListOf(GATE_REASON), "Why the row fails a gate.", lambda row: row.reasons),
        Key("warnings", ListOf(GATE_REASON), "What a gate passes with a warning.", lambda row: row.warnings),
        Key(
            "accuracy_test",
            OrNull(ACCURACY_TEST),
            "What the inputs say of the accuracies; null where a side has none.",
            lambda row: row.accuracy_test,
        ),
        Key("metrics", ListOf(METRIC_ROW), "The verdicts in the further metrics.", lambda row: row.metrics),
    ),
)
COMPARISON_GROUP = View[ComparisonGroup](
    "comparison-group",
    "Cells that differ in the compared coordinate alone.",
    (
        Key("model", TEXT, "The model's name.", lambda group: group.model),
        Key("device", OrNull(TEXT), "The device; null where devices are compared.", lambda group: group.device),
        Key("fixed", MapOf(SETTING, "coordinate"), "The coordinates that all cells share.", lambda group: group.fixed),
        Key("base", OrNull(SIDE), "The base; null where the group has none.", lambda group: group.base),
        Key("rows", ListOf(COMPARISON_ROW), "The other cells.", lambda group: group.rows),
        Key("notes", ListOf(TEXT), "Notes on the base.", lambda group: group.notes),
    ),
)
COMPARISON = View[Comparison](
    "comparison",
    "A run's cells compared by one coordinate.",
    (
        Key("run", TEXT, "The run's id.", lambda comparison: comparison.run),
        Key("by", TEXT, "The compared coordinate.", lambda comparison: comparison.by),
        Key("base", TEXT, "What was asked for as the base.", lambda comparison: comparison.base),
        Key(
            "metric",
            METRIC,
            "What is compared: the first metric, that of the keys of each row.",
            lambda comparison: comparison.metric,
        ),
        Key("min_effect", NUMBER, "The smallest change that matters.", lambda comparison: comparison.min_effect),
        Key(
            "significance",
            NUMBER,
            "The share of false discoveries among adjusted p-values up to this; no verdict depends on it.",
            lambda comparison: comparison.significance,
        ),
        Key("confidence", NUMBER, "The confidence of the intervals.", lambda comparison: comparison.confidence),
        Key("tolerance", TOLERANCE, "How far outputs may differ.", lambda comparison: comparison.tolerance),
        Key("tests", INTEGER, "How many p-values were adjusted together.", lambda comparison: comparison.tests),
        Key("groups", ListOf(COMPARISON_GROUP), "The groups.", lambda comparison: comparison.groups),
        Key("level", NUMBER, "The largest p-value of a difference.", lambda comparison: comparison.level),
        Key(
            "equivalence_level",
            NUMBER,
            "The largest p-value of an equivalence.",
            lambda comparison: comparison.equivalence_level,
        ),
        Key("kind", OneOf(Kind), "What the comparison is between.", lambda comparison: comparison.kind),
        Key(
            "reasons",
            ListOf(GATE_REASON),
            "Every reason for which `--fail-on-regression` exits with 1.",
            lambda comparison: comparison.reasons,
        ),
        Key(
            "warnings",
            ListOf(GATE_REASON),
            "What `--fail-on-regression` passes with a warning: a changed environment.",
            lambda comparison: comparison.warnings,
        ),
        Key("further", ListOf(METRIC), "The further metrics, in the order of each row's.", lambda one: one.further),
        Key(
            "commands",
            ListOf(TEXT),
            "Commands that would probably settle the inconclusive rows of the first metric.",
            lambda comparison: comparison.commands,
        ),
    ),
)
