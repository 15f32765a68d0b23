"""What a comparison found, in values that a table, a file or another program can take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.domain.metric import Metric
from orchestrator.domain.sweep import Setting


class Verdict(StrEnum):
    """What the trials allow to be said of one side against the base.

    `different` is for metrics of which neither more nor less is better; `not-comparable` where a side has no value.
    """

    IMPROVED = "improved"
    REGRESSED = "regressed"
    DIFFERENT = "different"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"
    NOT_COMPARABLE = "not-comparable"


class Agreement(StrEnum):
    """Whether two sides computed the same from the same inputs; `unknown` where that cannot be told."""

    AGREE = "agree"
    DIFFER = "differ"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Outputs agree where |other - base| <= absolute + relative x |base| for every value."""

    absolute: float = 1e-3
    relative: float = 1e-2

    def __str__(self) -> str:
        return f"|Δ| ≤ {self.absolute:g} + {self.relative:g}·|base|"


@dataclass(frozen=True, slots=True)
class OutputsAgreement:
    """How far outputs agree; `max_difference` is over pairs of finite values, `not_a_number` counts NaN of either side.

    `top1_same` of `inputs` inputs have the same largest output; None where an input has a single output value.
    `reason` says why outputs could not be compared; it is None where a side has none.
    """

    agreement: Agreement
    max_difference: float | None = None
    outside_tolerance: int | None = None
    not_a_number: int | None = None
    inputs: int | None = None
    top1_same: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Ratio:
    """Other over base: a ratio of geometric means over trials, never over iterations.

    The interval is None with fewer than two trials on a side; `p_adjusted` is adjusted for everything compared with it.
    """

    value: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """One cell: `at` is its value of the compared coordinate, `value` the geometric mean over `trials` trials.

    `spread` is the standard deviation of the trial values' logarithms, about their coefficient of variation.
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


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One side against the base of its group; `trials_more` a side would probably settle an inconclusive verdict."""

    side: Side
    verdict: Verdict
    ratio: Ratio | None
    trials_more: int | None
    size_ratio: float | None
    accuracy_difference: float | None
    outputs: OutputsAgreement
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ComparisonGroup:
    """Cells that differ in the compared coordinate alone; `device` is None where devices are compared.

    `base` is None where the group has no cell of the base: its rows are then listed as not comparable.
    """

    model: str
    device: str | None
    fixed: Mapping[str, Setting]
    base: Side | None
    rows: tuple[ComparisonRow, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """A run's cells compared by one coordinate; `tests` is how many p-values were adjusted together."""

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

    @property
    def rows(self) -> tuple[ComparisonRow, ...]:
        """Return the rows of all groups."""
        return tuple(row for group in self.groups for row in group.rows)
