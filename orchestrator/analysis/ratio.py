"""How many times as much: the ratio of two sides' trial values, with an interval over trials.

Welch's t interval on logarithms. docs/decisions/0003 has the measurement that chose it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.special
from numpy.typing import NDArray

CONFIDENCE = 0.95
POWER = 0.8
TRIALS_MAX = 500
"""More trials a side than anyone will run: beyond it no number is named."""


@dataclass(frozen=True, slots=True)
class Spread:
    """One side on the logarithmic scale: its number of trials, their mean, their variance (None for one trial)."""

    n: int
    log_mean: float
    log_variance: float | None

    @property
    def centre(self) -> float:
        """Return the geometric mean of the trial values."""
        return math.exp(self.log_mean)


@dataclass(frozen=True, slots=True)
class RatioEstimate:
    """Other over base: ratio of geometric means; interval and p-value are None with fewer than two trials on a side."""

    base: Spread
    other: Spread
    ratio: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None


def usable(values: Sequence[float]) -> bool:
    """Say whether a ratio means anything for these values: at least one, all finite and above zero."""
    return len(values) > 0 and all(math.isfinite(value) and value > 0 for value in values)


def spread(values: Sequence[float]) -> Spread:
    """Summarise one side's trial values; they must be `usable`."""
    if not usable(values):
        raise ValueError("a ratio needs positive, finite trial values")
    logs = np.log(np.asarray(values, dtype=np.float64))
    if len(values) < 2:
        return Spread(len(values), float(logs[0]), None)
    # Identical values have no variance; the rounding of their mean must not invent one.
    variance = float(logs.var(ddof=1)) if float(np.ptp(logs)) > 0 else 0.0
    return Spread(len(values), float(logs.mean()), variance)


def ratio_of_trials(
    base_values: Sequence[float], other_values: Sequence[float], confidence: float = CONFIDENCE
) -> RatioEstimate:
    """Estimate how many times the base's value the other's is, each value standing for one trial."""
    base, other = spread(base_values), spread(other_values)
    difference = other.log_mean - base.log_mean
    ratio = _exp(difference)
    if base.log_variance is None or other.log_variance is None:
        return RatioEstimate(base, other, ratio)
    error, freedom = _welch(base.log_variance / base.n, other.log_variance / other.n, base.n, other.n)
    if error == 0:
        return RatioEstimate(base, other, ratio, ratio, ratio, 1.0 if ratio == 1 else 0.0)
    half_width = float(scipy.special.stdtrit(freedom, 0.5 + confidence / 2)) * error
    p_value = 2 * float(scipy.special.stdtr(freedom, -abs(difference) / error))
    return RatioEstimate(base, other, ratio, _exp(difference - half_width), _exp(difference + half_width), p_value)


def trials_to_settle(
    estimate: RatioEstimate, min_effect: float, significance: float, confidence: float = CONFIDENCE
) -> int | None:
    """Say how many more trials a side would settle the comparison four times in five, if what was seen is the truth.

    A difference of at least `min_effect` is settled once it is significant, a smaller one once its interval lies within
    plus or minus `min_effect`. None: fewer than two trials on a side so far, or not with TRIALS_MAX trials.
    """
    if estimate.base.log_variance is None or estimate.other.log_variance is None:
        return None
    so_far = min(estimate.base.n, estimate.other.n)
    difference, margin = abs(math.log(estimate.ratio)), math.log1p(min_effect)
    if difference >= margin:
        room, quantile = difference, 1 - significance / 2
    else:
        room, quantile = margin - difference, 0.5 + confidence / 2
    n = np.arange(so_far + 1, TRIALS_MAX + 1, dtype=np.float64)
    error, freedom = _welch_equal(estimate.base.log_variance, estimate.other.log_variance, n)
    enough = (scipy.special.stdtrit(freedom, quantile) + scipy.special.stdtrit(freedom, POWER)) * error <= room
    return int(n[int(np.argmax(enough))]) - so_far if enough.any() else None


def _exp(logarithm: float) -> float:
    """Return what a float can hold: two wild trials may have an interval beyond it."""
    return math.exp(min(max(logarithm, -700.0), 700.0))


def _welch(base: float, other: float, base_n: int, other_n: int) -> tuple[float, float]:
    """Return the standard error of a difference of means, and its degrees of freedom, from squared standard errors."""
    total = base + other
    if total == 0:
        return 0.0, math.inf
    # Shares, not squares of variances: those underflow where the noise is tiny.
    base_share, other_share = base / total, other / total
    return math.sqrt(total), 1 / (base_share**2 / (base_n - 1) + other_share**2 / (other_n - 1))


def _welch_equal(base: float, other: float, n: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Do the same for each of many n, the variances being those between single trials."""
    total = base + other
    if total == 0:
        return np.zeros_like(n), n - 1
    shares = (base / total) ** 2 + (other / total) ** 2
    return np.sqrt(total / n), (n - 1) / shares
