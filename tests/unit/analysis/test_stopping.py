from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.analysis.prior import NOTHING_KNOWN, Prior
from orchestrator.analysis.stopping import FIRST_LOOK, HISTORY_FREEDOM, Look, next_look, own_history
from tests.effort import examples

CALM = Prior(0.01**2, HISTORY_FREEDOM)


def followed(logs: np.ndarray, history: Prior, trials_max: int = 60) -> tuple[int, Look]:
    """Return how many trials the rule takes, and its last look."""
    trials = 1
    while True:
        look = next_look(np.exp(logs[:trials]).tolist(), history, 0.01, trials_max)
        if look.trials_next is None:
            return trials, look
        assert trials < look.trials_next <= trials_max
        trials = look.trials_next


@given(st.lists(st.floats(1.0, 1e6), min_size=1, max_size=30), st.integers(5, 30))
def test_a_look_asks_for_more_trials_than_there_are_or_for_none(values: list[float], trials_max: int) -> None:
    look = next_look(values, CALM, 0.01, trials_max)

    assert look.trials_next is None or len(values) < look.trials_next <= trials_max
    assert look.low is None or look.high is None or look.low <= look.value <= look.high


def test_a_calm_cell_is_done_at_the_first_look() -> None:
    look = next_look([1.0, 1.001, 0.999, 1.0005], CALM, 0.01, 60)

    assert (look.trials_next, look.narrow) == (None, True)
    assert next_look([1.0, 1.001], CALM, 0.01, 60).trials_next == FIRST_LOOK


def test_the_maximum_ends_a_cell_without_the_width() -> None:
    look = next_look([1.0, 1.5, 0.7, 1.2, 0.9], NOTHING_KNOWN, 0.01, 5)

    assert (look.trials_next, look.narrow) == (None, False)


def test_a_far_trial_costs_one_more_not_many() -> None:
    trials, look = followed(np.array([0.0, 0.004, -0.003, 0.7, 0.002, 0.001, -0.002, *[0.0] * 53]), CALM)

    assert trials <= 8
    assert look.high is not None
    assert look.high < 1.02


@pytest.mark.long
@pytest.mark.parametrize(("cv", "fixed_plan"), [(0.01, 9), (0.02, 25)])
def test_the_interval_covers_as_often_as_it_says_and_takes_fewer_trials_than_a_fixed_plan(
    cv: float, fixed_plan: int
) -> None:
    random = np.random.default_rng(31)
    ended = [followed(random.normal(0, cv, 60), Prior(cv**2, HISTORY_FREEDOM)) for _ in range(examples(600))]
    covered = [look.low <= 1 <= look.high for _, look in ended if look.low is not None and look.high is not None]

    assert np.mean(covered) >= 0.92
    assert np.mean([trials for trials, _ in ended]) < 0.8 * fixed_plan


def test_a_history_is_the_noise_of_its_nights() -> None:
    nights = np.random.default_rng(2).normal(0, 0.02, (200, 5)).var(axis=1, ddof=1)
    nights[:30] *= 400

    history = own_history(nights.tolist(), [4] * 200)

    assert math.sqrt(history.variance) == pytest.approx(0.02, rel=0.15)
    assert history.freedom == HISTORY_FREEDOM
    assert own_history([1e-4], [4]).freedom < 3
    assert own_history([math.nan, 0.0], [4, 4]) == NOTHING_KNOWN
