"""Estimate how many trials would settle a comparison: as a range, since neither noise nor difference is known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import scipy.special
from numpy.typing import NDArray

from orchestrator.analysis.ratio import RatioEstimate
from orchestrator.domain.comparison import TrialsRange
from orchestrator.domain.policy import EQUIVALENCE_LEVEL, TRIALS_MAX, VERDICT_LEVEL

LOWER, UPPER = 0.2, 0.85
# Middles of tenths in place of random draws: the same comparison gets the same range.
_QUANTILES = (np.arange(10) + 0.5) / 10
_DRAWS = np.array(list(itertools.product(_QUANTILES, repeat=3)))
"""Every combination of a noise, a difference and a luck."""


def trials_to_settle(estimate: RatioEstimate, min_effect: float) -> TrialsRange | None:
    """Return the fewest and the most trials a side, in total, to settle the comparison probably.

    A comparison is settled if the sides are equivalent, if the sides differ by at least `min_effect`, or if a
    difference is real and too near to `min_effect` for more trials to help. Noise and difference are drawn from the
    range allowed by the trials, and so is the chance of the trials to come. The range leaves out the lowest fifth and
    the highest seventh of the draws, and the upper end may exceed TRIALS_MAX. Return None with fewer than two trials on
    a side, or if a `min_effect` of 0 asks for no end.
    """
    if estimate.error is None or estimate.freedom is None or min_effect <= 0 or estimate.error == 0:
        return None
    pooled = 1 / (1 / estimate.base.kept + 1 / estimate.other.kept)
    counts = _counts(estimate, pooled, math.log1p(min_effect))
    low, high = np.quantile(counts, [LOWER, UPPER])
    so_far = min(estimate.base.n, estimate.other.n)
    fewest = max(so_far + 1, math.ceil(low))
    return TrialsRange(fewest, max(fewest, math.ceil(high)))


def is_hopeless(estimate: RatioEstimate, min_effect: float) -> bool:
    """Return True if TRIALS_MAX trials a side would not even show equivalence of equivalent sides."""
    if estimate.error is None or min_effect <= 0:
        return False
    pooled = 1 / (1 / estimate.base.kept + 1 / estimate.other.kept)
    quantiles = float(scipy.special.ndtri([1 - EQUIVALENCE_LEVEL, UPPER]).sum())
    trials = 2 * pooled * (quantiles * estimate.error / math.log1p(min_effect)) ** 2
    return trials > TRIALS_MAX


def _counts(estimate: RatioEstimate, pooled: float, margin: float) -> NDArray[np.float64]:
    """Return the number of trials a side for each draw of noise, difference and luck."""
    assert estimate.error is not None
    assert estimate.freedom is not None
    # Ten different noises are among the draws, each a hundred times in turn.
    scale = np.repeat(estimate.freedom / scipy.special.chdtri(estimate.freedom, 1 - _QUANTILES), 100)
    trial_noise = np.sqrt(scale * pooled) * estimate.error
    truth = math.log(estimate.ratio) + scipy.special.ndtri(_DRAWS[:, 1]) * trial_noise / math.sqrt(pooled)
    luck = scipy.special.ndtri(_DRAWS[:, 2])
    unit_error = math.sqrt(2) * trial_noise
    counts: NDArray[np.float64] = np.minimum(
        _until(np.maximum(margin - np.abs(truth), 0.0), EQUIVALENCE_LEVEL, luck, unit_error),
        _until(np.abs(truth), VERDICT_LEVEL / 2, luck, unit_error),
    )
    return counts


def _until(
    room: NDArray[np.float64], level: float, luck: NDArray[np.float64], unit_error: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return from which n on a one-sided test at `level` holds, for an error of `unit_error` / sqrt(n)."""
    quantile = np.maximum(scipy.special.ndtri(1 - level) + luck, 0.1)
    with np.errstate(divide="ignore"):
        counts: NDArray[np.float64] = (quantile * unit_error / room) ** 2 + quantile**2 / 4
    return counts
