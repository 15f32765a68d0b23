from __future__ import annotations

import math

import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.analysis.ratio import RatioEstimate, Spread
from orchestrator.analysis.verdict import adjusted, is_about_minimum, judge
from orchestrator.domain.comparison import Verdict
from orchestrator.domain.metric import Direction

SIDE = Spread(5, 0.0, 0.0001)


def estimate(ratio: float, error: float, freedom: float = 20.0, **flags: bool) -> RatioEstimate:
    """Return an estimate as a pair of cells with this standard error has."""
    half_width = scipy.stats.t.ppf(0.975, freedom) * error
    p_value = 2 * scipy.stats.t.sf(abs(math.log(ratio)) / error, freedom)
    interval = (ratio * math.exp(-half_width), ratio * math.exp(half_width))
    return RatioEstimate(SIDE, SIDE, ratio, *interval, p_value, error, freedom, **flags)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40))
def test_p_values_are_adjusted_as_scipy_adjusts_them(p_values: list[float]) -> None:
    assert adjusted(p_values) == pytest.approx(scipy.stats.false_discovery_control(p_values).tolist())


def test_nothing_to_adjust_is_fine() -> None:
    assert adjusted([]) == ()


@pytest.mark.parametrize(
    ("ratio", "error", "verdict"),
    [
        (1.03, 0.005, Verdict.REGRESSED),
        (0.97, 0.005, Verdict.IMPROVED),
        (1.03, 0.010, Verdict.INCONCLUSIVE),
        (1.000, 0.004, Verdict.EQUIVALENT),
        (1.004, 0.001, Verdict.EQUIVALENT),
        (1.0095, 0.001, Verdict.INCONCLUSIVE),
        (1.000, 0.010, Verdict.INCONCLUSIVE),
    ],
)
def test_less_is_better(ratio: float, error: float, verdict: Verdict) -> None:
    assert judge(estimate(ratio, error), Direction.LOWER, 0.01) is verdict


def test_where_more_is_better_more_is_an_improvement() -> None:
    assert judge(estimate(1.03, 0.005), Direction.HIGHER, 0.01) is Verdict.IMPROVED
    assert judge(estimate(0.97, 0.005), Direction.HIGHER, 0.01) is Verdict.REGRESSED


def test_where_neither_is_better_a_difference_is_only_that() -> None:
    assert judge(estimate(1.03, 0.005), Direction.NONE, 0.01) is Verdict.DIFFERENT
    assert judge(estimate(0.97, 0.005), Direction.NONE, 0.01) is Verdict.DIFFERENT


def test_without_a_minimum_effect_any_real_difference_counts_and_nothing_is_equivalent() -> None:
    assert judge(estimate(1.004, 0.0005), Direction.LOWER, 0.0) is Verdict.REGRESSED
    assert judge(estimate(1.0, 0.0005), Direction.LOWER, 0.0) is Verdict.INCONCLUSIVE


def test_an_unruly_pair_is_judged_only_where_its_sides_lie_apart() -> None:
    assert judge(estimate(1.5, 0.02, unruly=True), Direction.LOWER, 0.01) is Verdict.NOISY
    assert judge(estimate(1.5, 0.02, unruly=True, separate=True), Direction.LOWER, 0.01) is Verdict.REGRESSED


def test_sides_that_lie_apart_want_more_trials_however_much_they_scatter() -> None:
    # No number of trials would show these two to be equivalent, and a few would show that they are not.
    assert judge(estimate(70.0, 1.0, 2.0), Direction.LOWER, 0.01) is Verdict.NOISY
    assert judge(estimate(70.0, 1.0, 2.0, separate=True), Direction.LOWER, 0.01) is Verdict.INCONCLUSIVE


def test_one_trial_on_a_side_concludes_nothing() -> None:
    assert judge(RatioEstimate(SIDE, SIDE, 1.5), Direction.LOWER, 0.01) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("trials", "verdict"), [(2, Verdict.INCONCLUSIVE), (3, Verdict.REGRESSED)])
def test_two_trials_on_a_side_are_too_few_for_a_difference(trials: int, verdict: Verdict) -> None:
    few = estimate(1.5, 0.001)
    side = Spread(trials, 0.0, 1e-6)

    assert (
        judge(RatioEstimate(side, SIDE, few.ratio, few.low, few.high, few.p_value, 1e-3, 20.0), Direction.LOWER, 0.01)
        is verdict
    )


def test_a_real_change_near_the_minimum_effect_is_told() -> None:
    assert is_about_minimum(estimate(1.011, 0.001), 0.01)
    assert is_about_minimum(estimate(0.9905, 0.001), 0.01)
    assert not is_about_minimum(estimate(1.05, 0.001), 0.01)
    assert not is_about_minimum(estimate(1.0, 0.01), 0.01)
