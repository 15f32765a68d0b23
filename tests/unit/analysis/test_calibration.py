from __future__ import annotations

import numpy as np
import pytest

from orchestrator.analysis.ratio import ratio_of_trials
from orchestrator.analysis.verdict import adjusted, judge
from orchestrator.domain.comparison import Verdict
from orchestrator.domain.metric import Direction
from tests.effort import examples
from tests.unit.analysis.calibration import NOISES, SEED, Noise, bootstrap_of_medians, hodges_lehmann, score, welch

PAIRS = examples(2_000)


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)
@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_sides_that_do_not_differ_are_called_different_in_at_most_about_five_per_cent(noise: Noise, n: int) -> None:
    # 5.5 % is the highest rate of 20,000 pairs; 2,000 pairs scatter by 0.5 % (one sigma), the quick loop's 500 by 1 %
    assert score(welch, noise, n, PAIRS, np.random.default_rng(SEED)).false_positives <= 0.07


def test_five_trials_a_side_find_three_per_cent_at_one_per_cent_of_noise() -> None:
    assert score(welch, NOISES[0], 5, PAIRS, np.random.default_rng(SEED)).power >= 0.94


def test_the_bootstrap_that_was_not_chosen_is_wrong_with_few_trials() -> None:
    bootstrap = bootstrap_of_medians(np.random.default_rng(SEED))

    assert score(bootstrap, NOISES[0], 3, 300, np.random.default_rng(SEED)).false_positives > 0.06


def test_ranks_say_nothing_of_three_trials() -> None:
    assert hodges_lehmann(np.ones(3), np.array([2.0, 2.1, 2.2])) == (0.0, np.inf)


def test_an_uneventful_fleet_has_almost_no_regressions() -> None:
    random = np.random.default_rng(SEED)
    fleets_with_alarm = 0
    for _ in range(60):
        estimates = [
            ratio_of_trials(NOISES[0].draw(random, 0.01, (5,)).tolist(), NOISES[0].draw(random, 0.01, (5,)).tolist())
            for _ in range(40)
        ]
        p_values = adjusted([estimate.p_value for estimate in estimates if estimate.p_value is not None])
        verdicts = {judge(e, p, Direction.LOWER, 0.01) for e, p in zip(estimates, p_values, strict=True)}
        fleets_with_alarm += bool(verdicts & {Verdict.REGRESSED, Verdict.IMPROVED})

    # unadjusted, 40 comparisons would raise an alarm in six fleets of seven
    assert fleets_with_alarm <= 8
