from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from orchestrator.analysis.ratio import RatioEstimate, Spread
from orchestrator.analysis.verdict import adjusted, judge
from orchestrator.domain.comparison import Verdict
from orchestrator.domain.metric import Direction

SIDE = Spread(5, 0.0, 0.0001)


def estimate(ratio: float, low: float | None, high: float | None) -> RatioEstimate:
    return RatioEstimate(SIDE, SIDE, ratio, low, high, 0.5)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40))
def test_p_values_are_adjusted_as_scipy_adjusts_them(p_values: list[float]) -> None:
    assert adjusted(p_values) == pytest.approx(stats.false_discovery_control(p_values).tolist())


def test_nothing_to_adjust_is_fine() -> None:
    assert adjusted([]) == ()


@pytest.mark.parametrize(
    ("ratio", "low", "high", "p_adjusted", "verdict"),
    [
        (1.03, 1.01, 1.05, 0.01, Verdict.REGRESSED),
        (0.97, 0.95, 0.99, 0.01, Verdict.IMPROVED),
        (1.03, 1.01, 1.05, 0.20, Verdict.INCONCLUSIVE),
        (1.03, 0.99, 1.07, 0.08, Verdict.INCONCLUSIVE),
        (1.000, 0.995, 1.005, 0.9, Verdict.EQUIVALENT),
        (1.004, 1.002, 1.006, 0.001, Verdict.EQUIVALENT),
        (1.008, 1.002, 1.014, 0.01, Verdict.INCONCLUSIVE),
        (1.000, 0.98, 1.02, 0.9, Verdict.INCONCLUSIVE),
        (1.500, None, None, None, Verdict.INCONCLUSIVE),
    ],
)
def test_less_is_better(
    ratio: float, low: float | None, high: float | None, p_adjusted: float | None, verdict: Verdict
) -> None:
    assert judge(estimate(ratio, low, high), p_adjusted, Direction.LOWER, 0.01) is verdict


def test_where_more_is_better_more_is_an_improvement() -> None:
    assert judge(estimate(1.03, 1.01, 1.05), 0.01, Direction.HIGHER, 0.01) is Verdict.IMPROVED
    assert judge(estimate(0.97, 0.95, 0.99), 0.01, Direction.HIGHER, 0.01) is Verdict.REGRESSED


def test_where_neither_is_better_a_difference_is_only_that() -> None:
    assert judge(estimate(1.03, 1.01, 1.05), 0.01, Direction.NONE, 0.01) is Verdict.DIFFERENT
    assert judge(estimate(0.97, 0.95, 0.99), 0.01, Direction.NONE, 0.01) is Verdict.DIFFERENT


def test_without_a_minimum_effect_any_significant_difference_counts_and_nothing_is_equivalent() -> None:
    assert judge(estimate(1.004, 1.002, 1.006), 0.001, Direction.LOWER, 0.0) is Verdict.REGRESSED
    assert judge(estimate(1.0, 1.0, 1.0), 1.0, Direction.LOWER, 0.0) is Verdict.INCONCLUSIVE
