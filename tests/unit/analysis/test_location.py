from __future__ import annotations

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.analysis.location import as_rows, cells_of, locate, locate_alike, resolution, spared, unit_step
from orchestrator.analysis.prior import CELLS_MIN, FREEDOM_MAX, NOTHING_KNOWN, Prior, fit_prior

cells = st.lists(st.lists(st.floats(1.0, 1e6), max_size=9), min_size=1, max_size=6)


@given(cells)
def test_the_centre_is_the_mean_of_the_kept_logarithms(values: list[list[float]]) -> None:
    rows = as_rows(values)
    located = locate(rows, 0.0, 0.0, resolution(rows))

    for index, trials in enumerate(values):
        kept = np.log(trials)[~located.set_aside[index, : len(trials)]] if trials else np.zeros(0)
        assert (located.trials[index], located.kept[index]) == (len(trials), len(kept))
        if len(kept):
            assert located.centre[index] == pytest.approx(kept.mean())
        if len(kept) > 1:
            assert located.variance[index] == pytest.approx(kept.var(ddof=1), abs=1e-9)
        else:
            assert np.isnan(located.variance[index])


@given(cells)
def test_never_as_many_as_half_of_the_trials_are_set_aside(values: list[list[float]]) -> None:
    located = cells_of(values, [""] * len(values)).located

    assert (located.trials - located.kept <= spared(located.trials)).all()
    assert (located.set_aside.sum(axis=1) == located.trials - located.kept).all()


@settings(deadline=None)  # a property of numbers, not of time
@given(st.lists(st.floats(1.0, 1e6), min_size=1, max_size=9))
def test_the_order_of_trials_does_not_matter(values: list[float]) -> None:
    forth, back = cells_of([values], [""]).located, cells_of([values[::-1]], [""]).located

    assert forth.centre[0] == pytest.approx(back.centre[0])
    assert forth.kept[0] == back.kept[0]


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([100, 101, 99, 100.5, 200], 4),
        ([100, 101, 99, 100.5, 50], 4),
        ([100, 101, 99, 200, 201], 5),
        ([100, 101, 99, 200], 4),
        ([100, 101, 99.5, 200, 100.2, 99.8, 300], 5),
    ],
)
def test_what_lies_far_off_is_set_aside_where_enough_is_left(values: list[float], kept: int) -> None:
    located = cells_of([values], [""]).located

    assert located.kept[0] == kept
    assert located.unruly[0] == (kept == len(values))


def test_with_a_prior_a_smaller_distance_is_far() -> None:
    values = [[100.0, 101.0, 99.0, 100.5, 107.0]]

    assert cells_of(values, [""]).located.kept[0] == 5
    assert cells_of(values, [""], {"": Prior(0.01**2, 12.0)}).located.kept[0] == 4


def test_undisturbed_cells_seldom_lose_a_trial() -> None:
    rows = np.random.default_rng(3).normal(0, 0.01, (4000, 5))
    alone = locate(rows, 0.0, 0.0, np.zeros(4000))
    known = locate(rows, 1e-4, 12.0, np.zeros(4000))

    assert (alone.kept < alone.trials).mean() < 0.01
    assert (known.kept < known.trials).mean() < 0.01


@pytest.mark.parametrize(
    ("values", "step"), [([5, 5, 5], 0.0), ([100, 102, 104], np.log(104 / 102)), ([1, 1, 2], np.log(2))]
)
def test_the_resolution_is_the_smallest_step_between_values(values: list[float], step: float) -> None:
    assert resolution(as_rows([values]))[0] == pytest.approx(step)


def test_cells_that_are_alike_make_a_heavy_prior() -> None:
    random = np.random.default_rng(1)
    alike = random.normal(0, 0.02, (60, 5)).var(axis=1, ddof=1)
    unlike = (random.normal(0, 0.02, (60, 5)) * np.exp(random.normal(0, 1.0, (60, 1)))).var(axis=1, ddof=1)

    prior, weak = fit_prior(alike, [4] * 60), fit_prior(unlike, [4] * 60)

    assert np.sqrt(prior.variance) == pytest.approx(0.02, rel=0.15)
    assert prior.freedom > 6
    assert weak.freedom < 3


def test_enlarged_variances_of_a_few_cells_hardly_move_the_prior() -> None:
    variances = np.random.default_rng(1).normal(0, 0.02, (60, 5)).var(axis=1, ddof=1)
    clean = fit_prior(variances, [4] * 60)
    variances[:9] *= 1000

    assert fit_prior(variances, [4] * 60).variance == pytest.approx(clean.variance, rel=0.3)


def test_few_cells_and_cells_without_spread_teach_nothing() -> None:
    assert fit_prior([1e-4] * (CELLS_MIN - 1), [4] * (CELLS_MIN - 1)) == NOTHING_KNOWN
    assert fit_prior([0.0] * 20, [4] * 20) == NOTHING_KNOWN
    assert fit_prior([1e-4] * 60, [4] * 60).freedom == FREEDOM_MAX


of_devices = st.lists(
    st.tuples(st.sampled_from("abc"), st.lists(st.integers(900, 1100).map(float), min_size=1, max_size=9)),
    min_size=1,
    max_size=20,
)


@settings(deadline=None)  # a property of numbers, not of time
@given(of_devices)
def test_devices_located_together_are_located_as_each_alone(cells: list[tuple[str, list[float]]]) -> None:
    together = cells_of([values for _, values in cells], [device for device, _ in cells])

    rows = as_rows([values for _, values in cells])
    step = np.maximum(resolution(rows), [unit_step(values) for _, values in cells])
    for device in "abc":
        places = np.flatnonzero([device == name for name, _ in cells])
        located, prior = locate_alike(rows[places], step[places])
        assert (together.prior_variance[places] == prior.variance).all()
        assert (together.prior_freedom[places] == prior.freedom).all()
        for name in ("trials", "kept", "centre", "variance", "set_aside", "unruly"):
            np.testing.assert_array_equal(getattr(together.located, name)[places], getattr(located, name), name)


@given(st.lists(st.floats(1e-12, 1e6), min_size=CELLS_MIN, max_size=40), st.integers(1, 30))
def test_the_prior_is_fitted_at_the_quantiles_that_numpy_gives(variances: list[float], freedom: int) -> None:
    prior = fit_prior(variances, [freedom] * len(variances))

    middle = np.quantile(variances, 0.5)
    assert prior.variance * scipy.special.fdtri(freedom, prior.freedom, 0.5) == pytest.approx(middle, rel=1e-12)
    assert 0 < prior.freedom <= min(FREEDOM_MAX, len(variances) * freedom / 8)
