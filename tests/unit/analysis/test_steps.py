from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.analysis.steps import EXCURSION, find_steps
from tests.effort import examples

LOG_5 = math.log(1.05)


def quiet(nights: int, seed: int = 1, series: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.005, (series, nights))


def test_a_step_is_found_on_its_night_with_its_size() -> None:
    series = quiet(90)
    series[:, 60:] += LOG_5
    ((step,),) = find_steps(series, 0.02)

    assert abs(step.night - 60) <= 1
    assert step.change == pytest.approx(LOG_5, abs=0.005)
    assert step.errors > 10


def test_several_steps_are_found_in_order() -> None:
    series = quiet(200)
    series[:, 50:] += LOG_5
    series[:, 120:] -= 2 * LOG_5
    (steps,) = find_steps(series, 0.02)

    assert [step.night for step in steps] == pytest.approx([50, 120], abs=1)
    assert [step.change > 0 for step in steps] == [True, False]


def test_spikes_excursions_and_small_steps_are_no_steps() -> None:
    spikes, excursion, small = quiet(120), quiet(120), quiet(120)
    spikes[:, [20, 21, 50, 90, 91]] += 0.3
    excursion[:, 60 : 60 + EXCURSION - 2] += 0.1
    small[:, 60:] += 0.012

    assert find_steps(np.concatenate([spikes, excursion, small]), 0.02) == [(), (), ()]


def test_missing_nights_change_neither_size_nor_place() -> None:
    series = quiet(90)
    series[:, 60:] += LOG_5
    series[0, ::7] = np.nan
    ((step,),) = find_steps(series, 0.02)

    assert abs(step.night - 60) <= 1
    assert step.change == pytest.approx(LOG_5, abs=0.005)


def test_series_together_are_what_each_is_alone() -> None:
    series = quiet(100, series=6)
    series[::2, 40:] += LOG_5

    assert find_steps(series, 0.02) == [find_steps(row[None], 0.02)[0] for row in series]


@given(st.integers(0, 10**6), st.floats(-50, 50))
def test_another_unit_changes_nothing(seed: int, shift: float) -> None:
    series = quiet(60, seed)
    series[:, 30:] += LOG_5
    plain, moved = find_steps(series, 0.02)[0], find_steps(series + shift, 0.02)[0]

    assert [step.night for step in plain] == [step.night for step in moved]


@given(st.integers(0, 10**6))
def test_upside_down_the_steps_are_the_same_with_the_other_sign(seed: int) -> None:
    series = quiet(60, seed)
    series[:, 30:] += LOG_5
    up, down = find_steps(series, 0.02)[0], find_steps(-series, 0.02)[0]

    assert [step.night for step in up] == [step.night for step in down]
    assert [step.change for step in up] == pytest.approx([-step.change for step in down])


def test_asked_again_every_night_a_quiet_series_has_no_step() -> None:
    series = quiet(90, 3, examples(60))
    with_step = {index for night in range(10, 91) for index, s in enumerate(find_steps(series[:, :night], 0.02)) if s}

    assert len(with_step) <= 1


@pytest.mark.parametrize("nights", [0, 1, 3, 4, 8])
def test_short_and_constant_series_have_no_steps(nights: int) -> None:
    assert find_steps(np.zeros((2, nights)), 0.02) == [(), ()]
    assert find_steps(np.full((1, nights), np.nan), 0.02) == [()]
