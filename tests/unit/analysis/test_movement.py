"""How far a device has moved, by its unchanged cells, and what that explains."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.analysis.movement import Movement, movement_of
from orchestrator.analysis.ratio import RatioEstimate, ratio_of_trials

BASE = (1000.0, 1004.0, 998.0, 1002.0, 996.0)
MIN_EFFECT = 0.01


def moved_by(factor: float) -> RatioEstimate:
    return ratio_of_trials(BASE, [factor * one for one in BASE[::-1]])


def movement(*factors: float) -> Movement:
    found = movement_of([moved_by(one) for one in factors], MIN_EFFECT)
    assert found is not None
    return found


def test_a_device_that_has_not_moved_explains_nothing() -> None:
    assert movement_of([], MIN_EFFECT) is None
    assert movement_of([moved_by(one) for one in (1.0, 1.004, 0.998)], MIN_EFFECT) is None


def test_a_cell_without_noise_known_shows_nothing() -> None:
    alone = ratio_of_trials((1000.0,), (1300.0,))
    assert movement_of([alone], MIN_EFFECT) is None
    found = movement_of([alone, moved_by(1.25)], MIN_EFFECT)
    assert found is not None
    assert (found.cells, found.moved) == (1, 1)


def test_one_jumpy_cell_of_many_is_its_own_matter() -> None:
    for jump in (1.3, 2.0):
        for others in (1, 3, 4):
            assert movement_of([moved_by(jump), *(moved_by(1.0) for _ in range(others))], MIN_EFFECT) is None
    assert movement(1.3, 1.3, 1.0).moved == 2


@pytest.mark.parametrize("factor", [1.25, 1 / 1.25])
def test_a_common_movement_explains_what_is_like_it_and_no_more(factor: float) -> None:
    found = movement(factor, factor * 1.01, factor / 1.01, factor)
    assert found.factor == pytest.approx(factor, rel=1e-3)
    assert (found.cells, found.moved) == (4, 4)
    for share in (0.8, 1.0, 1.3):
        assert found.explains(moved_by(factor**share))
    assert not found.explains(moved_by(factor**3))
    assert not found.explains(moved_by(factor**-1.5)), "the other way is not explained"


def test_one_cell_knows_little_of_the_others() -> None:
    assert movement(1.25).explains(moved_by(1.45))
    assert not movement(1.25).explains(moved_by(1.25**2.1)), "and yet not everything is possible"


@pytest.mark.parametrize(("device", "own"), [(0.5, 0.945), (1.25, 1.011), (0.5, 0.6)])
def test_what_moved_less_than_the_device_has_not_become_what_its_figures_say(device: float, own: float) -> None:
    """On a device that is twice as fast, a cell that is 5 % faster is of a slower build."""
    assert movement(*[device] * 30).explains(moved_by(own))


def test_moving_against_the_device_is_the_builds_own() -> None:
    assert not movement(1.05, 1.05).explains(moved_by(0.98))


def test_cells_that_disagree_widen_what_is_explained_to_twice_the_movement_at_most() -> None:
    found = movement(1.3, 1.3, 1.02, 1.9)
    assert not found.explains(moved_by(found.factor**2.01))


def test_cells_that_moved_apart_explain_movements_either_way_and_no_larger_ones() -> None:
    found = movement(1.3, 0.8, 1.0, 1.1)
    assert not found.is_common
    assert found.explains(moved_by(1.25))
    assert found.explains(moved_by(0.75))
    assert not found.explains(moved_by(1.5))
    assert movement_of([moved_by(one) for one in (1.3, 0.8, 1.0, 1.0)], MIN_EFFECT) is None


def test_values_without_any_noise_are_judged_too() -> None:
    exact = ratio_of_trials([100.0] * 3, [400.0] * 3)
    found = movement_of([exact], 0.0)
    assert found is not None
    assert found.explains(exact)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=8), st.floats(0.01, 100), st.integers(0, 99))
def test_an_answer_never_depends_on_the_order_or_the_side(factors: list[float], own: float, seed: int) -> None:
    """Base and other side exchanged, all is the other way round."""
    found = movement_of([moved_by(one) for one in factors], MIN_EFFECT)
    shuffled = random.Random(seed).sample(factors, len(factors))
    again = movement_of([moved_by(1 / one) for one in shuffled], MIN_EFFECT)
    assert (found is None) == (again is None)
    if found is not None and again is not None:
        assert again.shift == pytest.approx(-found.shift, abs=1e-9)
        assert again.spread == pytest.approx(found.spread, rel=1e-6)
        assert math.isfinite(found.spread)
        assert found.spread > 0
        assert 2 * found.moved > found.cells
        assert found.explains(moved_by(own)) == again.explains(moved_by(1 / own))
        if abs(math.log(own)) > 2 * found.size:
            assert not found.explains(moved_by(own))
        if found.is_common and found.shift != 0:
            away = math.log(own) / found.shift
            assert found.explains(moved_by(own)) or not 0 < away <= min(1, 2 * found.size / abs(found.shift))
