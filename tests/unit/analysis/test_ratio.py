from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from orchestrator.analysis.ratio import TRIALS_MAX, ratio_of_trials, spread, trials_to_settle, usable

trial_values = st.lists(st.floats(1.0, 1e6), min_size=2, max_size=12)
LATENCIES = [41_873.0, 42_011.0, 41_650.0, 42_390.0, 41_905.0]
OTHERS = [43_120.0, 43_480.0, 42_990.0, 43_301.0, 43_015.0, 43_777.0]


def test_the_interval_and_p_value_are_those_of_welchs_test_on_logarithms() -> None:
    oracle = stats.ttest_ind([math.log(v) for v in OTHERS], [math.log(v) for v in LATENCIES], equal_var=False)
    low, high = oracle.confidence_interval(0.95)

    estimate = ratio_of_trials(LATENCIES, OTHERS)

    assert estimate.low == pytest.approx(math.exp(low), rel=1e-12)
    assert estimate.high == pytest.approx(math.exp(high), rel=1e-12)
    assert estimate.p_value == pytest.approx(oracle.pvalue, rel=1e-9)


@given(trial_values, trial_values, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_any_sides_agree_with_scipys_welch_test(base: list[float], other: list[float], confidence: float) -> None:
    assume(min(max(base) / min(base), max(other) / min(other)) > 1.001)
    oracle = stats.ttest_ind([math.log(v) for v in other], [math.log(v) for v in base], equal_var=False)
    low, high = oracle.confidence_interval(confidence)
    assume(abs(low) < 500)
    assume(abs(high) < 500)

    estimate = ratio_of_trials(base, other, confidence)

    assert estimate.low is not None
    assert estimate.high is not None
    assert math.log(estimate.low) == pytest.approx(low, rel=1e-6, abs=1e-9)
    assert math.log(estimate.high) == pytest.approx(high, rel=1e-6, abs=1e-9)
    assert estimate.p_value == pytest.approx(oracle.pvalue, rel=1e-5, abs=1e-9)


def test_the_ratio_is_that_of_geometric_means() -> None:
    estimate = ratio_of_trials([1.0, 100.0], [20.0, 20.0])

    assert estimate.base.centre == pytest.approx(10.0)
    assert estimate.ratio == pytest.approx(2.0)


@given(trial_values, trial_values)
def test_swapping_the_sides_inverts_ratio_and_interval(base: list[float], other: list[float]) -> None:
    forth, back = ratio_of_trials(base, other), ratio_of_trials(other, base)

    assert math.log(back.ratio) == pytest.approx(-math.log(forth.ratio), abs=1e-9)
    if forth.low and forth.high and math.isfinite(forth.high) and back.low and math.isfinite(back.high or math.inf):
        assert math.log(back.low) == pytest.approx(-math.log(forth.high), rel=1e-9, abs=1e-9)
    assert back.p_value == pytest.approx(forth.p_value)


@given(trial_values, trial_values, st.floats(1e-6, 1e6))
def test_the_unit_does_not_matter(base: list[float], other: list[float], unit: float) -> None:
    assume(max(base) / min(base) > 1.001)
    plain = ratio_of_trials(base, other)
    scaled = ratio_of_trials([v * unit for v in base], [v * unit for v in other])

    assert scaled.ratio == pytest.approx(plain.ratio, rel=1e-6)
    assert scaled.low == pytest.approx(plain.low, rel=1e-5)
    assert scaled.high == pytest.approx(plain.high, rel=1e-5)


@given(
    st.lists(st.floats(-0.05, 0.05), min_size=2, max_size=10),
    st.lists(st.floats(-0.05, 0.05), min_size=2, max_size=10),
    st.floats(1.0, 20.0),
)
def test_more_noise_never_narrows_the_interval(base: list[float], other: list[float], louder: float) -> None:
    def width(loudness: float) -> float:
        estimate = ratio_of_trials(_around_one(base, loudness), _around_one(other, loudness))
        assert estimate.low is not None
        assert estimate.high is not None
        return math.log(estimate.high) - math.log(estimate.low)

    assert width(louder) >= width(1.0) - 1e-9


@given(trial_values, trial_values)
def test_the_interval_holds_the_ratio(base: list[float], other: list[float]) -> None:
    estimate = ratio_of_trials(base, other)

    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low <= estimate.ratio <= estimate.high


@pytest.mark.parametrize(("base", "other"), [([1.0], [2.0]), ([1.0], [2.0, 2.1]), ([1.0, 1.1], [2.0])])
def test_a_single_trial_on_a_side_has_a_ratio_but_no_interval(base: list[float], other: list[float]) -> None:
    estimate = ratio_of_trials(base, other)

    assert estimate.ratio == pytest.approx(2.0, rel=0.05)
    assert (estimate.low, estimate.high, estimate.p_value) == (None, None, None)


def test_sides_without_any_spread_have_an_interval_without_width() -> None:
    same, more = ratio_of_trials([0.1] * 5, [0.1] * 5), ratio_of_trials([1e7] * 3, [2e7] * 4)

    assert (same.ratio, same.low, same.high, same.p_value) == (1.0, 1.0, 1.0, 1.0)
    assert more.low == more.high == more.ratio == pytest.approx(2.0)
    assert more.p_value == 0.0


def test_one_side_without_spread_leaves_the_others_freedom() -> None:
    estimate = ratio_of_trials([42.0, 42.0, 42.0], [41.0, 42.0, 43.0])
    oracle = stats.ttest_1samp([math.log(v / 42.0) for v in (41.0, 42.0, 43.0)], 0.0).confidence_interval(0.95)

    assert estimate.low == pytest.approx(math.exp(oracle.low))
    assert estimate.high == pytest.approx(math.exp(oracle.high))


@pytest.mark.parametrize("values", [[], [0.0, 1.0], [-1.0], [math.nan, 1.0], [math.inf]])
def test_values_that_have_no_ratio_are_refused(values: list[float]) -> None:
    assert not usable(values)
    with pytest.raises(ValueError, match="positive"):
        spread(values)


def test_trials_to_settle_a_difference_is_what_a_power_calculation_says() -> None:
    # sd 2 % a side, 3 % apart: (t(.975) + t(.8)) * sqrt(2 * .02**2 / n) <= log 1.03 first holds at n = 9
    estimate = ratio_of_trials(_with_sd(0.02, 3), [1.03 * v for v in _with_sd(0.02, 3)])

    assert trials_to_settle(estimate, 0.01, 0.05) == 9 - 3


def test_trials_to_settle_equality_shrinks_the_interval_into_the_minimum_effect() -> None:
    few = ratio_of_trials(_with_sd(0.01, 3), _with_sd(0.01, 3))
    noisy = ratio_of_trials(_with_sd(0.02, 3), _with_sd(0.02, 3))
    few_more, noisy_more = trials_to_settle(few, 0.01, 0.05), trials_to_settle(noisy, 0.01, 0.05)

    assert few_more is not None
    assert noisy_more is not None
    assert 1 <= few_more < noisy_more


def test_a_stricter_level_wants_more_trials() -> None:
    estimate = ratio_of_trials(_with_sd(0.02, 5), [1.03 * v for v in _with_sd(0.02, 5)])

    alone, among_many = trials_to_settle(estimate, 0.01, 0.05), trials_to_settle(estimate, 0.01, 0.001)

    assert alone is not None
    assert among_many is not None
    assert alone < among_many


def test_no_number_of_trials_is_named_where_none_would_do() -> None:
    hopeless = ratio_of_trials(_with_sd(0.5, 3), _with_sd(0.5, 3))
    single = ratio_of_trials([1.0], [1.0])

    assert trials_to_settle(hopeless, 0.01, 0.05) is None
    assert trials_to_settle(single, 0.01, 0.05) is None


def test_beyond_the_most_trials_there_is_nothing_left_to_ask() -> None:
    many = _with_sd(0.5, TRIALS_MAX)

    assert trials_to_settle(ratio_of_trials(many, many), 0.01, 0.05) is None


def test_two_wild_trials_have_an_interval_that_a_float_can_hold() -> None:
    estimate = ratio_of_trials([1e-300, 1e300], [1e300, 1e-300])

    assert estimate.low is not None
    assert estimate.high is not None
    assert 0 < estimate.low < 1 < estimate.high < math.inf
    assert 0 < ratio_of_trials([1e-300], [1e300]).ratio < math.inf


def _around_one(logs: list[float], loudness: float) -> list[float]:
    return [math.exp(value * loudness) for value in logs]


def _with_sd(sd: float, n: int) -> list[float]:
    """Return values around 1 whose logarithms have exactly this standard deviation."""
    steps = [index - (n - 1) / 2 for index in range(n)]
    scale = sd / math.sqrt(sum(step * step for step in steps) / (n - 1))
    return [math.exp(step * scale) for step in steps]
