from __future__ import annotations

import math

import numpy as np
import pytest
import scipy
from hypothesis import assume, given
from hypothesis import strategies as st

from orchestrator.analysis.prior import Prior
from orchestrator.analysis.ratio import measured, ratio_of_trials, ratios, spreads, usable

# Sides of four values cannot spare any: nothing is set aside, and the estimate is Welch's.
four_values = st.lists(st.floats(1.0, 1e6), min_size=4, max_size=4)
trial_values = st.lists(st.floats(1.0, 1e6), min_size=2, max_size=12)
LATENCIES = [41_873.5, 42_011.0, 41_650.0, 42_390.0, 41_905.0]
OTHERS = [43_120.5, 43_480.0, 42_990.0, 43_301.0, 43_015.0, 43_777.0]


def test_without_a_prior_the_interval_and_p_value_are_those_of_welchs_test_on_logarithms() -> None:
    oracle = scipy.stats.ttest_ind([math.log(v) for v in OTHERS], [math.log(v) for v in LATENCIES], equal_var=False)
    low, high = oracle.confidence_interval(0.95)

    estimate = ratio_of_trials(LATENCIES, OTHERS)

    assert estimate.low == pytest.approx(math.exp(low), rel=1e-12)
    assert estimate.high == pytest.approx(math.exp(high), rel=1e-12)
    assert estimate.p_value == pytest.approx(oracle.pvalue, rel=1e-9)


@pytest.mark.long
@given(four_values, four_values, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_any_sides_of_different_values_agree_with_scipys_welch_test(
    base: list[float], other: list[float], confidence: float
) -> None:
    logs = np.sort(np.log(base + other))
    # values on a grid have a floor under their noise, which Welch's test lacks
    assume(np.diff(logs).min() > 1e-6)
    assume(np.diff(logs).min() < 0.2 * min(np.std(np.log(base)), np.std(np.log(other))))
    oracle = scipy.stats.ttest_ind(np.log(other), np.log(base), equal_var=False)
    low, high = oracle.confidence_interval(confidence)
    assume(max(abs(low), abs(high)) < 500)

    estimate = ratio_of_trials([v + 1e-9 for v in base], other, confidence=confidence)

    assert estimate.low is not None
    assert estimate.high is not None
    assert math.log(estimate.low) == pytest.approx(low, rel=1e-5, abs=1e-7)
    assert math.log(estimate.high) == pytest.approx(high, rel=1e-5, abs=1e-7)
    assert estimate.p_value == pytest.approx(oracle.pvalue, rel=1e-4, abs=1e-9)


def test_a_prior_shrinks_the_variance_as_limma_does() -> None:
    # limma's posterior variance, (d0 s0^2 + d s^2) / (d0 + d) with d0 + d degrees of freedom, for sides of one variance
    base, other = [1.00, 1.01, 1.02, 1.03], [1.05, 1.06, 1.07, 1.08]
    pooled = (np.var(np.log(base), ddof=1) + np.var(np.log(other), ddof=1)) / 2
    unpooled = scipy.stats.ttest_ind(np.log(other), np.log(base), equal_var=False)
    prior = Prior(0.02**2, 6.0)
    variance = (6.0 * prior.variance + unpooled.df * pooled) / (6.0 + unpooled.df)
    t = (np.mean(np.log(other)) - np.mean(np.log(base))) / math.sqrt(variance / 2)

    estimate = ratio_of_trials(base, other, prior)

    assert estimate.freedom == pytest.approx(6.0 + unpooled.df)
    assert estimate.p_value == pytest.approx(2 * scipy.stats.t.sf(t, 6.0 + unpooled.df))


@given(four_values, four_values)
def test_equivalence_is_the_larger_of_two_one_sided_tests(base: list[float], other: list[float]) -> None:
    estimate = ratio_of_trials(base, other)
    assume(estimate.error)
    assert estimate.error is not None
    assert estimate.freedom is not None
    difference, margin = math.log(estimate.ratio), math.log(1.05)
    upper = scipy.stats.t.cdf((difference - margin) / estimate.error, estimate.freedom)
    lower = scipy.stats.t.sf((difference + margin) / estimate.error, estimate.freedom)

    assert estimate.p_equivalent(0.05) == pytest.approx(max(upper, lower), abs=1e-9)


def test_a_detectable_change_would_be_found_four_times_in_five() -> None:
    estimate = ratio_of_trials(LATENCIES, OTHERS)
    assert estimate.error is not None
    assert estimate.freedom is not None
    change = estimate.detectable(0.05)
    assert change is not None
    noncentral = scipy.stats.nct(estimate.freedom, math.log1p(change) / estimate.error)

    assert noncentral.sf(scipy.stats.t.ppf(0.975, estimate.freedom)) == pytest.approx(0.8, abs=0.02)


def test_the_ratio_is_that_of_geometric_means() -> None:
    estimate = ratio_of_trials([1.0, 100.0], [20.0, 20.0])

    assert estimate.base.centre == pytest.approx(10.0)
    assert estimate.ratio == pytest.approx(2.0)


@given(trial_values, trial_values)
def test_swapping_the_sides_inverts_ratio_and_interval(base: list[float], other: list[float]) -> None:
    forth, back = ratio_of_trials(base, other), ratio_of_trials(other, base)

    assert math.log(back.ratio) == pytest.approx(-math.log(forth.ratio), abs=1e-8)
    assert (back.unruly, back.separate) == (forth.unruly, forth.separate)
    assert back.p_value == pytest.approx(forth.p_value)
    if forth.error is not None and forth.error < 100:
        assert back.low is not None
        assert forth.high is not None
        assert math.log(back.low) == pytest.approx(-math.log(forth.high), rel=1e-9, abs=1e-8)


@given(trial_values, trial_values, st.integers(-20, 20))
def test_the_unit_does_not_matter(base: list[float], other: list[float], power: int) -> None:
    base, other = [v + 0.5**30 for v in base], [v + 0.5**30 for v in other]
    assume(not all(v.is_integer() for v in base + other))
    assume(not all((v * 2.0**power).is_integer() for v in base + other))
    plain = ratio_of_trials(base, other)
    scaled = ratio_of_trials([v * 2.0**power for v in base], [v * 2.0**power for v in other])

    assert scaled.ratio == pytest.approx(plain.ratio, rel=1e-6)
    assert scaled.p_value == pytest.approx(plain.p_value, rel=1e-4)
    assert scaled.base.set_aside == pytest.approx(plain.base.set_aside, rel=1e-6)


@given(trial_values, trial_values)
def test_the_interval_holds_the_ratio(base: list[float], other: list[float]) -> None:
    estimate = ratio_of_trials(base, other)

    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low <= estimate.ratio <= estimate.high


@given(st.floats(1.0, 1e6), st.floats(0.95, 1.05), st.integers(2, 4))
def test_two_sides_that_tie_within_may_be_one_step_of_their_grid_apart(base: float, factor: float, trials: int) -> None:
    estimate = ratio_of_trials([base] * trials, [base * factor] * trials)

    assert estimate.p_value is not None
    assert estimate.p_value > 0.001


@given(trial_values)
def test_a_side_does_not_differ_from_itself(values: list[float]) -> None:
    estimate = ratio_of_trials(values, values)

    assert (estimate.ratio, estimate.p_value) == (1.0, 1.0)


@pytest.mark.parametrize(("base", "other"), [([1.0], [2.0]), ([1.0], [2.0, 2.1]), ([1.0, 1.1], [2.0])])
def test_a_single_trial_on_a_side_has_a_ratio_but_no_interval(base: list[float], other: list[float]) -> None:
    estimate = ratio_of_trials(base, other)

    assert estimate.ratio == pytest.approx(2.0, rel=0.05)
    assert (estimate.low, estimate.high, estimate.p_value, estimate.error) == (None, None, None, None)
    assert (estimate.p_equivalent(0.01), estimate.detectable(0.05)) == (None, None)


def test_equal_values_that_are_no_whole_numbers_have_an_interval_without_width() -> None:
    same = ratio_of_trials([0.1] * 5, [0.1] * 5)

    assert (same.ratio, same.low, same.high, same.p_value) == (1.0, 1.0, 1.0, 1.0)
    assert (same.p_equivalent(0.01), same.p_equivalent(0.0)) == (0.0, 1.0)


def test_whole_numbers_are_known_to_one_unit_only() -> None:
    # 10 counts each: a difference below half a count cannot be seen, and that is 5 %
    same = ratio_of_trials([10.0] * 3, [10.0] * 3)

    assert same.p_value == 1.0
    assert same.low is not None
    assert same.low < 0.95


def test_more_than_a_step_of_a_plausible_grid_is_a_difference() -> None:
    estimate = ratio_of_trials([1e7] * 5, [8e6] * 5)

    assert estimate.p_value is not None
    assert estimate.p_value < 1e-6
    assert estimate.low is not None
    assert 0.77 < estimate.low < 0.8


def test_one_slow_trial_of_five_does_not_hide_a_difference() -> None:
    base, other = [100.0, 100.6, 99.5, 100.3, 99.8], [149.9, 150.7, 149.2, 150.1, 301.0]

    estimate = ratio_of_trials(base, other)

    assert estimate.ratio == pytest.approx(1.5, rel=0.01)
    assert estimate.low is not None
    assert estimate.low > 1.45
    assert list(estimate.other.set_aside) == [pytest.approx(301.0 / 150.0, rel=0.01)]
    assert (estimate.other.n, estimate.other.kept) == (5, 4)


def test_a_cell_of_two_levels_is_unruly_and_keeps_all_its_trials() -> None:
    estimate = ratio_of_trials([100.0, 100.6, 99.5, 140.2, 141.0], [100.1, 99.9, 100.4, 99.6, 100.3])

    assert estimate.unruly
    assert not estimate.separate
    assert estimate.base.set_aside == ()


def test_a_trial_at_home_on_the_other_side_is_no_outlier() -> None:
    # four of five on the upper level, against one of five
    estimate = ratio_of_trials([100.0, 100.6, 99.5, 100.2, 130.4], [130.1, 130.9, 129.4, 130.3, 99.9])

    assert estimate.unruly
    assert (estimate.base.set_aside, estimate.other.set_aside) == ((), ())


def test_a_far_trial_that_comes_near_the_other_side_is_still_set_aside() -> None:
    # measured: int8 against fp32, where a disturbed trial of int8 is 9 % below fp32's level
    estimate = ratio_of_trials([3329.5, 3355.0, 3313.0, 3350.0, 3331.0], [2021.0, 2001.0, 2009.0, 3037.0, 2008.0])

    assert not estimate.unruly
    assert estimate.ratio == pytest.approx(0.603, abs=0.003)


def test_sides_that_lie_apart_say_so() -> None:
    assert ratio_of_trials([1.0, 1.5], [2.0, 3.0]).separate
    assert not ratio_of_trials([1.0, 2.5], [2.0, 3.0]).separate


def test_many_pairs_at_once_are_what_each_pair_alone_is() -> None:
    random = np.random.default_rng(5)
    values = [list(np.exp(random.normal(0, 0.01, int(n)))) for n in random.integers(1, 9, 40)]
    prior = Prior(1e-4, 8.0)
    cells = measured(values, ["pi"] * 40, {"pi": prior})
    pairs = [(int(a), int(b)) for a, b in random.integers(0, 40, (30, 2))]

    for (base, other), together in zip(pairs, ratios(cells, pairs), strict=True):
        alone = ratio_of_trials(values[base], values[other], prior)
        assert together.p_value == pytest.approx(alone.p_value)
        assert together.low == pytest.approx(alone.low)
        assert together.base.set_aside == pytest.approx(alone.base.set_aside)


def test_each_device_has_a_prior_of_its_own() -> None:
    random = np.random.default_rng(5)
    quiet, loud = np.exp(random.normal(0, 0.01, (20, 5))), np.exp(random.normal(0, 0.05, (20, 5)))
    mixed = [list(row) for pair in zip(quiet, loud, strict=True) for row in pair]

    cells = measured(mixed, ["quiet", "loud"] * 20)

    assert math.sqrt(cells.prior_variance[0]) == pytest.approx(0.01, rel=0.3)
    assert math.sqrt(cells.prior_variance[1]) == pytest.approx(0.05, rel=0.3)
    assert [spread.log_mean for spread in spreads(cells)] == pytest.approx(np.log(mixed).mean(axis=1), abs=0.02)


def test_no_cells_make_no_ratios() -> None:
    assert ratios(measured([], []), []) == []


@pytest.mark.parametrize("values", [[], [0.0, 1.0], [-1.0], [math.nan, 1.0], [math.inf]])
def test_values_that_have_no_ratio_are_refused(values: list[float]) -> None:
    assert not usable(values)
    with pytest.raises(ValueError, match="positive"):
        ratio_of_trials(values, [1.0])


def test_two_wild_trials_have_an_interval_that_a_float_can_hold() -> None:
    estimate = ratio_of_trials([1e-300, 1e300], [1e300, 1e-300])

    assert estimate.low is not None
    assert estimate.high is not None
    assert 0 < estimate.low < 1 < estimate.high < math.inf
    assert 0 < ratio_of_trials([1e-300], [1e300]).ratio < math.inf
