from __future__ import annotations

import math

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.analysis.accuracy import accuracy_test, mcnemar, paired_bootstrap, share_right
from orchestrator.domain.comparison import AccuracyMethod, Verdict
from orchestrator.domain.input_results import CellInputResults, InputEncoding
from orchestrator.domain.measurement import Cell
from tests.effort import examples

right = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


def results(both: int, only_base: int, only_other: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the results of each side from the four counts of a paired table."""
    base = [True] * both + [True] * only_base + [False] * only_other + [False] * neither
    other = [True] * both + [False] * only_base + [True] * only_other + [False] * neither
    return np.array(base), np.array(other)


@pytest.mark.long
@given(right)
def test_the_p_value_is_that_of_an_exact_binomial_test(pairs: list[tuple[bool, bool]]) -> None:
    base, other = np.array(pairs).T
    found = mcnemar(base, other)
    assert found.only_base is not None
    assert found.only_other is not None
    apart = found.only_base + found.only_other
    expected = scipy.stats.binomtest(found.only_base, apart, 0.5).pvalue if apart else 1.0

    assert found.p_value == pytest.approx(expected)
    assert found.difference == pytest.approx(np.mean(other) - np.mean(base))


@given(right)
def test_swapping_the_sides_turns_the_sign(pairs: list[tuple[bool, bool]]) -> None:
    base, other = np.array(pairs).T
    forth, back = mcnemar(base, other), mcnemar(other, base)

    assert back.difference == -forth.difference
    assert back.p_value == forth.p_value
    assert back.low == pytest.approx(-(forth.high or 0), abs=1e-9)


@pytest.mark.parametrize("table", [(43, 0, 1, 0), (80, 12, 5, 3), (10, 1, 9, 40), (300, 0, 30, 2)])
def test_the_interval_ends_where_the_score_test_begins_to_reject(table: tuple[int, int, int, int]) -> None:
    found = mcnemar(*results(*table))
    assert found.low is not None
    assert found.high is not None

    for end in (found.low, found.high):
        assert abs(_score_of_likelihood(table, end)) == pytest.approx(1.96, abs=0.01)


def _score_of_likelihood(table: tuple[int, int, int, int], difference: float) -> float:
    """Return Tango's statistic from the most likely table of a true difference, found by search."""
    both, lost, gained, neither = table
    inputs = sum(table)

    def unlikely(lost_share: float) -> float:
        gained_share = lost_share + difference
        same = 1 - lost_share - gained_share
        terms = ((lost, lost_share), (gained, gained_share), (both + neither, same))
        return -sum(count * math.log(max(share, 1e-300)) for count, share in terms if count)

    bounds = (max(0.0, -difference), (1 - difference) / 2)
    best = float(scipy.optimize.minimize_scalar(unlikely, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x)
    variance = inputs * (2 * best + difference - difference**2)
    return (gained - lost - inputs * difference) / math.sqrt(variance)


def test_the_interval_covers_as_often_as_it_says() -> None:
    random = np.random.default_rng(4)
    covered = []
    for _ in range(examples(1200)):
        kind = random.choice(4, 200, p=[0.85, 0.03, 0.07, 0.05])
        found = mcnemar(kind <= 1, (kind == 0) | (kind == 2))
        assert found.low is not None
        assert found.high is not None
        covered.append(found.low <= 0.04 <= found.high)

    assert 0.92 <= np.mean(covered) <= 0.98


def test_equal_results_differ_in_nothing() -> None:
    found = mcnemar(*results(90, 0, 0, 10))

    assert (found.difference, found.p_value) == (0.0, 1.0)
    assert found.low is not None
    assert found.high is not None
    assert -0.05 < found.low < 0 < found.high < 0.05


def test_a_drop_from_983_to_103_in_a_thousand_is_beyond_doubt() -> None:
    found = mcnemar(*results(100, 883, 3, 14))

    assert found.p_value < 1e-100
    assert found.high is not None
    assert found.high < -0.8


@pytest.mark.long
def test_a_bootstrap_of_means_is_near_the_paired_t_interval() -> None:
    random = np.random.default_rng(8)
    base = random.normal(0.7, 0.1, 300)
    other = base + random.normal(-0.02, 0.05, 300)
    oracle = scipy.stats.ttest_rel(other, base)
    interval = oracle.confidence_interval(0.95)

    found = paired_bootstrap(base, other, 1)

    assert found.low == pytest.approx(interval.low, abs=0.001)
    assert found.high == pytest.approx(interval.high, abs=0.001)
    assert found.p_value < 0.001


def test_scores_that_are_the_same_have_no_interval() -> None:
    scores = np.linspace(0, 1, 50)
    same = paired_bootstrap(scores, scores, 1)

    assert (same.difference, same.low, same.high, same.p_value) == (0.0, None, None, 1.0)


def test_results_of_other_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match="3 and 2"):
        mcnemar(np.ones(3, dtype=bool), np.ones(2, dtype=bool))
    with pytest.raises(ValueError, match="0 and 0"):
        paired_bootstrap(np.zeros(0), np.zeros(0), 1)


CELL = Cell("r1", "pi-03", "digits", "fp32", "tflite", {})


def kept(flags: np.ndarray, dataset: str = "d" * 64) -> CellInputResults:
    data = np.packbits(flags, bitorder="little").tobytes()
    return CellInputResults(CELL, "accuracy_top1", dataset, InputEncoding.BITS, len(flags), data)


def kept_scores(values: np.ndarray) -> CellInputResults:
    data = values.astype("<f4").tobytes()
    return CellInputResults(CELL, "accuracy_iou", "d" * 64, InputEncoding.SCORES, len(values), data)


@given(right)
def test_kept_bits_give_the_test_of_the_results(pairs: list[tuple[bool, bool]]) -> None:
    base, other = np.array(pairs).T
    found, expected = accuracy_test(kept(base), kept(other), 0.01), mcnemar(base, other)
    assert (found.inputs, found.difference, found.p_value) == (len(base), expected.difference, expected.p_value)
    assert (found.only_base, found.only_other) == (expected.only_base, expected.only_other)
    assert found.method is AccuracyMethod.MCNEMAR
    assert share_right(kept(base)) == pytest.approx(base.mean())


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ((30, 60, 2, 8), Verdict.REGRESSED),
        ((30, 2, 60, 8), Verdict.IMPROVED),
        ((300, 7, 2, 51), Verdict.INCONCLUSIVE),
        ((9_000, 2, 3, 995), Verdict.EQUIVALENT),
        ((9_000, 60, 60, 880), Verdict.EQUIVALENT),
        ((30, 0, 0, 5), Verdict.INCONCLUSIVE),
    ],
)
def test_a_difference_needs_strong_evidence_and_equality_needs_many_inputs(
    counts: tuple[int, int, int, int], verdict: Verdict
) -> None:
    base, other = results(*counts)
    assert accuracy_test(kept(base), kept(other), 0.01).verdict is verdict


@pytest.mark.long
def test_scores_are_compared_by_the_paired_bootstrap_with_the_same_answer_each_time() -> None:
    random = np.random.default_rng(3)
    base = random.uniform(0.3, 0.9, 400)
    other = base - random.normal(0.05, 0.02, 400)
    found = accuracy_test(kept_scores(base), kept_scores(other), 0.01)
    assert found == accuracy_test(kept_scores(base), kept_scores(other), 0.01)
    assert found.method is AccuracyMethod.PAIRED_BOOTSTRAP
    assert found.verdict is Verdict.REGRESSED
    assert found.low is not None
    assert found.low < -0.05 + 0.003
    assert (found.only_base, found.only_other, share_right(kept_scores(base))) == (None, None, None)


def test_kept_results_of_other_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match="the same inputs"):
        accuracy_test(kept(np.array([True])), kept(np.array([True]), "e" * 64), 0.01)
    with pytest.raises(ValueError, match="the same inputs"):
        accuracy_test(kept(np.array([True])), kept(np.array([True, False])), 0.01)
