"""A side is at the good level or at the bad one, and both are said as rarely by chance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from orchestrator.analysis.confirmation import LOOKS, Level, PairOfSides, figures_of, is_moved, level_of, usual_noise
from orchestrator.analysis.prior import Prior

CHANGE = math.log(1.05)
NOISE = Prior(0.01**2, 30.0)


def sides(generator: np.random.Generator, factor: float, trials: int) -> PairOfSides:
    base, other = (np.exp(generator.normal(0.0, 0.01, trials)) * 1e6 for _ in range(2))
    return PairOfSides(tuple(base), tuple(other * factor))


def settled(generator: np.random.Generator, factor: float, change: float = CHANGE) -> Level:
    """Return the level after as many looks as are needed."""
    whole = sides(generator, factor, LOOKS[-1])
    for look, trials in enumerate(LOOKS):
        level = level_of(PairOfSides(whole.base[:trials], whole.other[:trials]), NOISE, change, look)
        if level is not Level.OPEN:
            return level
    return Level.OPEN


@pytest.mark.parametrize(("factor", "level"), [(1.0, Level.SAME), (1.05, Level.MOVED)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_step_of_five_per_cent_at_one_per_cent_noise_is_told_apart(factor: float, level: Level, sign: int) -> None:
    generator = np.random.default_rng(7)
    levels = [settled(generator, factor**sign, sign * CHANGE) for _ in range(30)]
    assert levels.count(level) >= 29
    assert set(levels) <= {level, Level.OPEN}


@pytest.mark.long
def test_half_way_is_said_to_be_neither_more_often_than_wrong() -> None:
    generator = np.random.default_rng(8)
    levels = [settled(generator, math.exp(CHANGE / 2)) for _ in range(30)]
    assert levels.count(Level.OPEN) > 10


def test_noise_is_learnt_from_the_runs_at_hand() -> None:
    generator = np.random.default_rng(9)
    runs = [tuple(np.exp(generator.normal(0, 0.02, 20)) * 1e6) for _ in range(2)]
    learnt = usual_noise(runs)
    assert 0.015 < math.sqrt(learnt.variance) < 0.025
    assert learnt.freedom > 10
    assert usual_noise([(1.0,), (), (0.0, 1.0)]) == Prior(0.0, 0.0)


def test_without_any_knowledge_of_noise_a_clear_step_is_still_seen() -> None:
    generator = np.random.default_rng(10)
    found = [is_moved(sides(generator, 1.5, LOOKS[0]), Prior(0.0, 0.0), 1, 0, 0.1) for _ in range(20)]
    assert found.count(Level.MOVED) >= 18
    same = [is_moved(sides(generator, 1.0, LOOKS[0]), Prior(0.0, 0.0), 1, 0, 0.1) for _ in range(20)]
    assert Level.MOVED not in same
    assert Level.SAME in same


def test_figures_have_an_interval_and_the_trials() -> None:
    figures = figures_of(sides(np.random.default_rng(11), 1.05, 20), NOISE)
    assert figures.low is not None
    assert figures.high is not None
    assert figures.low < 1.05 < figures.high
    assert (figures.baseline_trials, figures.candidate_trials) == (20, 20)
