from __future__ import annotations

import math

import numpy as np
import pytest

from orchestrator.analysis.prior import Prior
from orchestrator.analysis.ratio import RatioEstimate, ratio_of_trials
from orchestrator.analysis.settling import is_hopeless, trials_to_settle
from orchestrator.analysis.verdict import is_real, judge
from orchestrator.domain.comparison import TrialsRange, Verdict
from orchestrator.domain.metric import Direction
from tests.effort import examples


def test_more_noise_asks_for_more_trials() -> None:
    calm, wild = _range(0.01, 1.0), _range(0.02, 1.0)

    assert 6 <= calm.fewest < calm.most
    assert calm.most < wild.most


def test_a_known_noise_narrows_the_range() -> None:
    values = _with_sd(0.01, 5)
    vague = trials_to_settle(ratio_of_trials(values, values), 0.01)
    sure = trials_to_settle(ratio_of_trials(values, values, Prior(1e-4, 100.0)), 0.01)

    assert vague is not None
    assert sure is not None
    assert sure.most - sure.fewest < vague.most - vague.fewest


@pytest.mark.parametrize(("sd", "hopeless"), [(0.01, False), (0.04, False), (0.07, True), (0.5, True)])
def test_a_hopeless_noise_is_told_from_one_that_trials_can_beat(sd: float, hopeless: bool) -> None:
    values = _with_sd(sd, 5)

    assert is_hopeless(ratio_of_trials(values, values), 0.01) is hopeless


def test_no_number_is_named_without_a_spread_or_a_minimum_effect() -> None:
    values = _with_sd(0.01, 5)

    assert trials_to_settle(ratio_of_trials([1.0], [1.0]), 0.01) is None
    assert trials_to_settle(ratio_of_trials(values, values), 0.0) is None


@pytest.mark.parametrize("truth", [0.0, 0.005, 0.02])
def test_followed_to_its_upper_end_the_range_settles_four_of_five(truth: float) -> None:
    random = np.random.default_rng(23)
    prior = Prior(0.01**2, 12.0)
    settled = []
    for _ in range(examples(60)):
        logs = random.normal(0, 0.01, (2, 150)) + np.array([[0.0], [truth]])
        trials = trials_to_settle(_open(logs, prior, 5), 0.01) if not _is_settled(_open(logs, prior, 5)) else None
        if trials is not None:
            settled.append(_is_settled(_open(logs, prior, trials.most)))

    assert np.mean(settled) >= 0.8


def _open(logs: np.ndarray[tuple[int, int], np.dtype[np.float64]], prior: Prior, trials: int) -> RatioEstimate:
    base, other = np.exp(logs[:, :trials]).tolist()
    return ratio_of_trials(base, other, prior)


def _is_settled(estimate: RatioEstimate) -> bool:
    return is_real(estimate) or judge(estimate, Direction.LOWER, 0.01) is not Verdict.INCONCLUSIVE


def _range(sd: float, ratio: float) -> TrialsRange:
    values = _with_sd(sd, 5)
    trials = trials_to_settle(ratio_of_trials(values, [ratio * value for value in values]), 0.01)
    assert trials is not None
    return trials


def _with_sd(sd: float, n: int) -> list[float]:
    """Return values around 1 whose logarithms have exactly this standard deviation."""
    steps = [index - (n - 1) / 2 for index in range(n)]
    scale = sd / math.sqrt(sum(step * step for step in steps) / (n - 1))
    return [math.exp(step * scale) for step in steps]
