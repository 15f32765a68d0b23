"""Hold the findings of a comparison, for tables, files and other programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from orchestrator.domain.gate import GateReason
from orchestrator.domain.metric import Metric
from orchestrator.domain.policy import EQUIVALENCE_LEVEL, VERDICT_LEVEL
from orchestrator.domain.sweep import Setting
from orchestrator.domain.tolerance import Tolerance as Tolerance


class Verdict(StrEnum):
    """Conclude about a side against the base.

    `different` is for metrics without a better direction. `noisy` is for a side with trials too far apart to stand
    for the cell. `environment-changed` is for what no build has shown to have done: a difference of the same bytes over
    time, or of other bytes on a device that has moved as far as a whole. `not-comparable` is for a side without a
    value, and for a better value bought with accuracy.
    """

    IMPROVED = "improved"
    REGRESSED = "regressed"
    DIFFERENT = "different"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"
    NOISY = "noisy"
    ENVIRONMENT_CHANGED = "environment-changed"
    NOT_COMPARABLE = "not-comparable"


class Kind(StrEnum):
    """Name the sides of a comparison: the same thing at two times, or different things.

    A thing regresses or improves over time. Different things are slower or faster.
    """

    OVER_TIME = "over-time"
    BETWEEN_THINGS = "between-things"


class Agreement(StrEnum):
    """Say whether two sides computed the same outputs from the same inputs."""

    AGREE = "agree"
    DIFFER = "differ"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class OutputsAgreement:
    """Hold the agreement of two sides' outputs.

    `max_difference` is over pairs of finite values. `not_a_number` counts values with a NaN on either side. `top1_same`
    of `inputs` inputs have the same largest output. `top1_same` is None for a single output value per input. `reason`
    says why outputs could not be compared, and is None if a side has no outputs. `figures` are the metrics of agreement
    by name, and `absent` the reasons of those without a value.
    """

    agreement: Agreement
    max_difference: float | None = None
    outside_tolerance: int | None = None
    not_a_number: int | None = None
    inputs: int | None = None
    top1_same: int | None = None
    reason: str | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)


class AccuracyMethod(StrEnum):
    """Name how two accuracies were compared.

    `mcnemar`: right or wrong, input by input. `paired-bootstrap`: scores, input by input. `unpaired`: the two shares
    alone, without a word on chance.
    """

    MCNEMAR = "mcnemar"
    PAIRED_BOOTSTRAP = "paired-bootstrap"
    UNPAIRED = "unpaired"


@dataclass(frozen=True, slots=True)
class AccuracyTest:
    """Hold the test of two accuracies on the same inputs, other minus base.

    `only_base` and `only_other` count the inputs with a single right side, and are None for scores. `reason` says
    why the sides are not paired. All figures are None then.
    """

    method: AccuracyMethod
    verdict: Verdict = Verdict.INCONCLUSIVE
    inputs: int | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    only_base: int | None = None
    only_other: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Ratio:
    """Hold a ratio of geometric means over trials, other over base. Iterations are never pooled.

    `low`, `high`, the p-values and `detectable` are None with fewer than two trials on a side. `p_adjusted` is adjusted
    for all tests of the comparison. `p_equivalent` is the p-value of equivalence. `detectable` is the smallest relative
    change probably visible with the trials at hand.
    """

    value: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    p_equivalent: float | None = None
    detectable: float | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """Hold a cell of a comparison, with the values in the metric's unit.

    `at` is the cell's value of the compared coordinate. `value` is the geometric mean over `trials` trials, without the
    trials `set_aside`, which are given as multiples of `value`. `spread` is the standard deviation of the trial
    values' logarithms, about the coefficient of variation. `sources` are the power sources of a metric of power.
    `clipped_ratio` is the share of its numbers that a quantised input clips, None where none is or nobody counted.
    """

    at: Setting | None
    trials: int
    value: float | None
    spread: float | None
    size_bytes: int | None
    accuracy: float | None
    invalid: int = 0
    failed: int = 0
    missing: int = 0
    without_metric: int = 0
    rejected: str | None = None
    sources: tuple[str, ...] = ()
    set_aside: tuple[float, ...] = ()
    accuracy_metric: str | None = None
    clipped_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class TrialsRange:
    """Hold how many trials a side would probably settle a verdict, in total: from `fewest` to `most`."""

    fewest: int
    most: int


@dataclass(frozen=True, slots=True)
class MetricRow:
    """Hold the verdict on a side in a further metric. The fields have the meaning of the row's fields."""

    metric: Metric
    min_effect: float
    base: Side | None
    side: Side
    verdict: Verdict
    ratio: Ratio | None
    trials_more: int | None
    trials_total: TrialsRange | None
    word: str
    notes: tuple[str, ...] = ()
    reasons: tuple[GateReason, ...] = ()
    bought: str | None = None


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """Hold the verdict on a side against the base of the group.

    `metrics` are the verdicts in the further metrics of the comparison.
    `accuracy_test` is None where a side has no accuracy, or another metric of accuracy.
    `word` is the verdict in a word for the metric, such as slower. `trials_more` further trials per side would
    probably settle an inconclusive verdict: the upper end of `trials_total`, less the present trials. `reasons` are
    a gate's reasons against the side, and `warnings` a gate's warnings. `bought` says why a better value does not
    count, since more accuracy was lost than allowed.
    """

    side: Side
    verdict: Verdict
    ratio: Ratio | None
    trials_more: int | None
    size_ratio: float | None
    accuracy_difference: float | None
    outputs: OutputsAgreement
    notes: tuple[str, ...] = ()
    word: str = ""
    trials_total: TrialsRange | None = None
    accuracy_test: AccuracyTest | None = None
    reasons: tuple[GateReason, ...] = ()
    warnings: tuple[GateReason, ...] = ()
    metrics: tuple[MetricRow, ...] = ()
    bought: str | None = None


@dataclass(frozen=True, slots=True)
class ComparisonGroup:
    """Hold cells with a difference in the compared coordinate alone.

    `device` is None in a comparison of devices. `base` is None for a group without a cell of the base. All rows of the
    group are then not comparable. `named_model` is the model where the comparison has several, and None otherwise.
    """

    model: str
    device: str | None
    fixed: Mapping[str, Setting]
    base: Side | None
    rows: tuple[ComparisonRow, ...]
    notes: tuple[str, ...] = ()
    named_model: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Hold a run's cells compared by a coordinate, or with the same cells of the run `base`.

    `metric` is the first metric, and `further` are the other metrics. `commands` would probably settle the inconclusive
    rows of the first metric. `tests` counts the p-values adjusted together. `level` is the largest p-value of a
    difference. `overall` are the reasons of a gate against the whole comparison.
    """

    run: str
    by: str
    base: str
    metric: Metric
    min_effect: float
    significance: float
    confidence: float
    tolerance: Tolerance
    tests: int
    groups: tuple[ComparisonGroup, ...]
    level: float = VERDICT_LEVEL
    equivalence_level: float = EQUIVALENCE_LEVEL
    kind: Kind = Kind.BETWEEN_THINGS
    overall: tuple[GateReason, ...] = ()
    further: tuple[Metric, ...] = ()
    commands: tuple[str, ...] = ()

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Return all metrics of the comparison, the first metric first."""
        return (self.metric, *self.further)

    def in_each_metric(self) -> Iterator[Comparison]:
        """Yield the comparison in each metric alone, as a comparison of a single metric."""
        if not self.further:
            yield self
            return
        yield self._alone(self.metric, self.groups, self.min_effect)
        for place, metric in enumerate(self.further):
            groups = tuple(_in_further(group, place) for group in self.groups)
            # The rows know what was asked for, which may not be the metric's own smallest change.
            effects = {row.metrics[place].min_effect for row in self.rows}
            yield self._alone(metric, groups, effects.pop() if effects else metric.min_effect)

    def _alone(self, metric: Metric, groups: Iterable[ComparisonGroup], min_effect: float) -> Comparison:
        # Commands and overall reasons are about the whole, and would be told once for each metric.
        own = tuple(replace(group, rows=tuple(_without_further(row) for row in group.rows)) for group in groups)
        return replace(self, metric=metric, groups=own, min_effect=min_effect, further=(), commands=(), overall=())

    @property
    def reasons(self) -> tuple[GateReason, ...]:
        """Return every reason of a gate against the comparison."""
        return (*self.overall, *(reason for row in self.rows for reason in row.reasons))

    @property
    def warnings(self) -> tuple[GateReason, ...]:
        """Return the warnings of a gate, for a person to know."""
        return tuple(warning for row in self.rows for warning in row.warnings)

    @property
    def rows(self) -> tuple[ComparisonRow, ...]:
        """Return the rows of all groups."""
        return tuple(row for group in self.groups for row in group.rows)


def _without_further(row: ComparisonRow) -> ComparisonRow:
    """Return a row without further metrics, and without the reasons of further metrics."""
    # A row's reasons are of all metrics together.
    others = {reason for one in row.metrics for reason in one.reasons}
    return replace(row, metrics=(), reasons=tuple(reason for reason in row.reasons if reason not in others))


def _in_further(group: ComparisonGroup, place: int) -> ComparisonGroup:
    """Return a group in one of the further metrics."""
    rows = tuple(_as_row(row, row.metrics[place]) for row in group.rows)
    # Any row would do: all rows of a group have the same base.
    return replace(group, base=group.rows[0].metrics[place].base if group.rows else group.base, rows=rows)


def _as_row(row: ComparisonRow, one: MetricRow) -> ComparisonRow:
    return replace(
        row,
        side=one.side,
        verdict=one.verdict,
        ratio=one.ratio,
        trials_more=one.trials_more,
        trials_total=one.trials_total,
        word=one.word,
        notes=one.notes,
        reasons=one.reasons,
        bought=one.bought,
        warnings=(),
        metrics=(),
    )
