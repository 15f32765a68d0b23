"""Conclude a verdict from a ratio, alone and among other ratios of the same comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence

from orchestrator.analysis.ratio import RatioEstimate
from orchestrator.analysis.settling import is_hopeless
from orchestrator.domain.comparison import Verdict
from orchestrator.domain.metric import Direction
from orchestrator.domain.policy import EQUIVALENCE_LEVEL, VERDICT_LEVEL, VERDICT_TRIALS_MIN


def adjusted(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjust the p-values of one comparison by Benjamini-Hochberg, in the order given.

    The adjusted values bound the share of false differences among differences. No verdict depends on them.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__, reverse=True)
    result = [1.0] * len(p_values)
    smallest = 1.0
    for position, index in enumerate(order):
        # A running minimum from the largest p-value down: the adjusted values keep the order of the raw ones.
        smallest = min(smallest, p_values[index] * len(p_values) / (len(p_values) - position))
        result[index] = smallest
    return tuple(result)


def judge(estimate: RatioEstimate, direction: Direction, min_effect: float) -> Verdict:
    """Conclude a verdict from an estimate. `min_effect` is relative: 0.01 is 1 %.

    Different (improved or regressed): a real difference, estimated at `min_effect` or more. Equivalent: two one-sided
    tests place the ratio within plus or minus `min_effect`. Noisy: a side has more trials far off than the side can
    spare, and the sides overlap, or no affordable number of trials would help. Otherwise inconclusive.
    """
    if estimate.p_value is None:
        return Verdict.INCONCLUSIVE
    if estimate.unruly and not estimate.separate:
        return Verdict.NOISY
    difference, margin = math.log(estimate.ratio), math.log1p(min_effect)
    # A `min_effect` of 0 makes the margin 0, and an exact tie would count as a difference.
    if is_real(estimate) and abs(difference) >= margin and difference != 0:
        return _different(more=difference > 0, direction=direction)
    p_equivalent = estimate.p_equivalent(min_effect)
    if p_equivalent is not None and p_equivalent <= EQUIVALENCE_LEVEL:
        return Verdict.EQUIVALENT
    # Few trials that scatter, and yet do not overlap the other side, are told apart by more of them.
    if estimate.separate and not estimate.unruly:
        return Verdict.INCONCLUSIVE
    return Verdict.NOISY if is_hopeless(estimate, min_effect) else Verdict.INCONCLUSIVE


def judge_exact(ratio: float, direction: Direction, min_effect: float) -> Verdict:
    """Conclude a verdict from a certain ratio, such as the ratio of two sizes."""
    if abs(math.log(ratio)) < math.log1p(min_effect) or ratio == 1:
        return Verdict.EQUIVALENT
    return _different(more=ratio > 1, direction=direction)


def is_real(estimate: RatioEstimate) -> bool:
    """Return True if the sides differ, by however little."""
    if estimate.p_value is None or min(estimate.base.kept, estimate.other.kept) < VERDICT_TRIALS_MIN:
        return False
    return estimate.p_value <= VERDICT_LEVEL


def is_about_minimum(estimate: RatioEstimate, min_effect: float) -> bool:
    """Return True for a real difference with the smallest relevant change inside its interval."""
    if not is_real(estimate) or estimate.low is None or estimate.high is None:
        return False
    nearest, farthest = sorted((abs(math.log(estimate.low)), abs(math.log(estimate.high))))
    return nearest < math.log1p(min_effect) < farthest


def _different(*, more: bool, direction: Direction) -> Verdict:
    if direction is Direction.NONE:
        return Verdict.DIFFERENT
    return Verdict.IMPROVED if more is (direction is Direction.HIGHER) else Verdict.REGRESSED
