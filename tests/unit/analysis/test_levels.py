"""Levels over time: a mean with its interval for each run, and steps with the change that the values have."""

from __future__ import annotations

import math
import random
from statistics import geometric_mean

import pytest
import scipy

from orchestrator.analysis.levels import STEPS_FROM, levels, steps_of


def test_a_level_is_the_geometric_mean_with_students_interval() -> None:
    """Alone, a cell has no neighbours to learn from: the interval is the textbook's."""
    values = (100.0, 104.0, 98.0, 107.0, 101.0)
    (level,) = levels([values])
    assert level is not None
    logs = [math.log(value) for value in values]
    low, high = scipy.stats.t.interval(0.95, len(logs) - 1, sum(logs) / len(logs), scipy.stats.sem(logs))
    assert level.value == pytest.approx(geometric_mean(values))
    assert level.low == pytest.approx(math.exp(low))
    assert level.high == pytest.approx(math.exp(high))
    assert level.set_aside == 0


def test_one_trial_has_no_interval_and_no_value_above_zero_has_no_level() -> None:
    found = levels([(5.0,), (), (0.0, 1.0), (2.0, 2.5)])
    assert found[0] is not None
    assert found[0].value == pytest.approx(5.0)
    assert (found[0].low, found[0].high) == (None, None)
    assert found[1] is None
    assert found[2] is None
    assert found[3] is not None
    assert levels([]) == []


def test_a_far_trial_is_set_aside_as_in_a_comparison() -> None:
    calm = [(100.0, 101.0, 99.0, 100.5, 99.5, 100.2) for _ in range(6)]
    *_, disturbed = levels([*calm, (100.0, 101.0, 99.0, 100.5, 99.5, 300.0)])
    assert disturbed is not None
    assert disturbed.set_aside == 1
    assert disturbed.value == pytest.approx(100.0, rel=0.01)


def test_intervals_hold_the_true_level_as_often_as_they_say() -> None:
    dice = random.Random(7)
    cells = [[100 * math.exp(dice.gauss(0, 0.02)) for _ in range(3)] for _ in range(400)]
    found = levels(cells)
    held = sum(one is not None and one.low is not None and one.low <= 100 <= (one.high or 0) for one in found)
    # 95 % of 400 is 380, give or take 3 standard deviations of 4.4 each.
    assert 366 <= held <= 394


def test_a_step_has_the_change_that_the_values_have_also_near_an_end() -> None:
    before, after = [100.0, 101.0, 99.0, 100.0], [120.0 + place % 3 for place in range(40)]
    (step,) = steps_of([*before, *after], 0.01)
    assert step.night == 4
    assert math.exp(step.change) == pytest.approx(1.21, abs=0.01)


def test_gaps_are_no_step_and_few_values_are_not_searched() -> None:
    calm: list[float | None] = [100.0 + place % 3 for place in range(40)]
    calm[10:14] = [None] * 4
    assert steps_of(calm, 0.01) == ()
    few = [100.0] * (STEPS_FROM // 2 - 1) + [200.0] * (STEPS_FROM // 2)
    assert steps_of(few, 0.01) == ()
