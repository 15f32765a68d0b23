"""Compare the accuracy of two variants, runs or nights on the same inputs.

Each function takes a result per input for each side, in the same order of inputs. The caller must have paired the
results by the identity of the input, and must leave out inputs without a result of both sides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.special
from numpy.typing import NDArray

from orchestrator.domain.comparison import AccuracyMethod, AccuracyTest, Verdict
from orchestrator.domain.input_results import CellInputResults, InputEncoding
from orchestrator.domain.policy import CONFIDENCE, VERDICT_LEVEL

Scores = NDArray[np.float64]
RESAMPLES = 4000  # the smallest p-value, 1 of 4001, must lie below VERDICT_LEVEL
_SEED = 0
"""The same question gets the same answer."""
_INPUTS_MIN = 2


@dataclass(frozen=True, slots=True)
class AccuracyDifference:
    """Hold the difference of accuracies, other minus base, over `inputs` inputs, with interval and p-value.

    `only_base` and `only_other` count the inputs on which a single side is right. Both are None for scores. The
    interval is None where the inputs allow no interval.
    """

    inputs: int
    difference: float
    low: float | None
    high: float | None
    p_value: float
    only_base: int | None = None
    only_other: int | None = None


def accuracy_test(
    base: CellInputResults, other: CellInputResults, margin: float, *, lower_is_better: bool = False
) -> AccuracyTest:
    """Compare two cells on the same inputs. `margin` is the smallest relevant difference of accuracies.
    `lower_is_better` is for errors.

    Right or wrong is compared by McNemar's test, and scores by the paired bootstrap. Different: a p-value up to
    VERDICT_LEVEL. Equivalent: the whole interval lies within `margin`. Raise ValueError for unlike results.
    """
    if (base.dataset_sha256, base.encoding, base.count) != (other.dataset_sha256, other.encoding, other.count):
        raise ValueError("results of the same inputs are needed")
    if base.encoding is InputEncoding.BITS:
        return _tested(mcnemar(_bits(base), _bits(other)), AccuracyMethod.MCNEMAR, margin)
    found = paired_bootstrap(_scores(base), _scores(other), _SEED)
    return _tested(found, AccuracyMethod.PAIRED_BOOTSTRAP, margin, lower_is_better=lower_is_better)


def share_right(results: CellInputResults) -> float | None:
    """Return the share of right inputs, or None for scores."""
    return float(_bits(results).mean()) if results.encoding is InputEncoding.BITS else None


def _tested(
    found: AccuracyDifference, method: AccuracyMethod, margin: float, *, lower_is_better: bool = False
) -> AccuracyTest:
    verdict = Verdict.INCONCLUSIVE
    if found.p_value <= VERDICT_LEVEL and found.difference != 0:
        is_better = (found.difference < 0) is lower_is_better
        verdict = Verdict.IMPROVED if is_better else Verdict.REGRESSED
    elif found.low is not None and found.high is not None and max(-found.low, found.high) < margin:
        verdict = Verdict.EQUIVALENT
    return AccuracyTest(
        method,
        verdict,
        found.inputs,
        found.difference,
        found.low,
        found.high,
        found.p_value,
        found.only_base,
        found.only_other,
    )


def _bits(results: CellInputResults) -> NDArray[np.bool_]:
    packed = np.frombuffer(results.data, dtype=np.uint8)
    return np.unpackbits(packed, count=results.count, bitorder="little").astype(np.bool_)


def _scores(results: CellInputResults) -> Scores:
    return np.frombuffer(results.data, dtype="<f4").astype(np.float64)


def mcnemar(base_right: NDArray[np.bool_], other_right: NDArray[np.bool_]) -> AccuracyDifference:
    """Compare two sides by right or wrong on each input, such as top-1.

    The p-value is of McNemar's exact test: for equal sides, each input with a single right side is a toss of a coin.
    The interval is Tango's score interval (1998). Raise ValueError for no inputs, or for sides of unequal length.
    """
    _check(base_right, other_right)
    inputs = len(base_right)
    only_base = int(np.count_nonzero(base_right & ~other_right))
    only_other = int(np.count_nonzero(other_right & ~base_right))
    apart = only_base + only_other
    p_value = min(1.0, 2 * float(scipy.special.bdtr(min(only_base, only_other), apart, 0.5))) if apart else 1.0
    low, high = _tango(only_base, only_other, inputs, CONFIDENCE)
    return AccuracyDifference(inputs, (only_other - only_base) / inputs, low, high, p_value, only_base, only_other)


def paired_bootstrap(base_scores: Scores, other_scores: Scores, seed: int) -> AccuracyDifference:
    """Compare the means of two sides with a score for each input.

    Inputs are drawn with their pairs. The interval is studentised. `seed` makes the answer repeatable. Raise ValueError
    for no inputs, or for sides of unequal length.
    """
    _check(base_scores, other_scores)
    return _of_means(np.asarray(other_scores - base_scores, dtype=np.float64), np.random.default_rng(seed))


def _check(base: NDArray[np.generic], other: NDArray[np.generic]) -> None:
    if len(base) == 0 or len(base) != len(other):
        raise ValueError(f"paired results of the same inputs are needed, not {len(base)} and {len(other)}")


def _tango(only_base: int, only_other: int, inputs: int, confidence: float) -> tuple[float, float]:
    """Return the ends of the differences not rejected by the score test, found by bisection."""
    bound = float(scipy.special.ndtri(0.5 + confidence / 2))
    estimate = (only_other - only_base) / inputs

    def end(outermost: float) -> float:
        inside, outside = estimate, outermost
        # 60 halvings of the interval from -1 to 1 end below the precision of a float.
        for _ in range(60):
            middle = (inside + outside) / 2
            if abs(_score(only_other, only_base, inputs, middle)) <= bound:
                inside = middle
            else:
                outside = middle
        return inside

    return end(-1.0), end(1.0)


def _score(gained: int, lost: int, inputs: int, difference: float) -> float:
    """Return Tango's score statistic of a true difference."""
    a = 2 * inputs
    b = -gained - lost + (2 * inputs - gained + lost) * difference
    c = -lost * difference * (1 - difference)
    likely = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = inputs * (2 * likely + difference * (1 - difference))
    distance = gained - lost - inputs * difference
    # Where both sides agree on every input, a difference of 0 has no variance.
    if variance <= 0:
        return 0.0 if distance == 0 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)


def _of_means(differences: Scores, random: np.random.Generator) -> AccuracyDifference:
    inputs, mean = len(differences), float(differences.mean())
    error = float(differences.std(ddof=1)) / math.sqrt(inputs) if inputs >= _INPUTS_MIN else 0.0
    if error == 0:
        return AccuracyDifference(inputs, mean, None, None, 1.0)
    means, errors = np.empty(RESAMPLES), np.empty(RESAMPLES)
    # In turn: all resamples at once would hold 4,000 times the data set in memory.
    for index in range(RESAMPLES):
        drawn = differences[random.integers(0, inputs, inputs)]
        means[index], errors[index] = drawn.mean(), drawn.std(ddof=1) / math.sqrt(inputs)
    # A resample without any spread says nothing of its own error.
    known = errors > 0
    t = (means[known] - mean) / errors[known]
    # A studentised interval is turned round: the upper quantile of t makes the lower end.
    low, high = np.quantile(t, [0.5 + CONFIDENCE / 2, 0.5 - CONFIDENCE / 2])
    return AccuracyDifference(
        inputs, mean, mean - float(low) * error, mean - float(high) * error, _two_sided(t, mean / error)
    )


def _two_sided(t: Scores, observed: float) -> float:
    """Return how often resamples lie as far off as the observed value. The observed value counts too: p is above 0."""
    return float(1 + np.count_nonzero(np.abs(t) >= abs(observed))) / (len(t) + 1)
