"""What a ratio allows to be said, alone and among others that are judged with it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from orchestrator.analysis.ratio import RatioEstimate
from orchestrator.domain.comparison import Verdict
from orchestrator.domain.metric import Direction

SIGNIFICANCE = 0.05


def adjusted(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjust p-values that are judged together (Benjamini-Hochberg): of what is called different, 5 % is false."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__, reverse=True)
    result = [1.0] * len(p_values)
    smallest = 1.0
    for position, index in enumerate(order):
        smallest = min(smallest, p_values[index] * len(p_values) / (len(p_values) - position))
        result[index] = smallest
    return tuple(result)


def judge(estimate: RatioEstimate, p_adjusted: float | None, direction: Direction, min_effect: float) -> Verdict:
    """Conclude from an estimate.

    Different: significant among all that is judged together, and estimated at `min_effect` or more.
    Equivalent: the whole interval is within plus or minus `min_effect`. Neither: inconclusive.
    """
    if estimate.low is None or estimate.high is None or p_adjusted is None:
        return Verdict.INCONCLUSIVE
    difference, margin = math.log(estimate.ratio), math.log1p(min_effect)
    if p_adjusted <= SIGNIFICANCE and abs(difference) >= margin and difference != 0:
        return _different(more=difference > 0, direction=direction)
    if -margin < math.log(estimate.low) and math.log(estimate.high) < margin:
        return Verdict.EQUIVALENT
    return Verdict.INCONCLUSIVE


def _different(*, more: bool, direction: Direction) -> Verdict:
    if direction is Direction.NONE:
        return Verdict.DIFFERENT
    return Verdict.IMPROVED if more is (direction is Direction.HIGHER) else Verdict.REGRESSED
