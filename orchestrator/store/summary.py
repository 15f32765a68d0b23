"""Summarise the samples of one attempt: percentiles with distribution-free intervals, spread, and a coarse histogram.

A percentile is given only where n samples support it: where an interval of order statistics around it can reach 95 %
coverage at all. Percentiles interpolate linearly between order statistics, as numpy does by default.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
BINS_PER_OCTAVE_LOG2 = 4

_WINDOW_SD = 12


@dataclass(frozen=True, slots=True)
class Percentile:
    """A percentile and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Summary:
    """What is left of n samples in one row; `median` is always there, `p50` only where n supports an interval."""

    n: int
    median: float
    p50: Percentile | None
    p90: Percentile | None
    p99: Percentile | None
    p99_9: Percentile | None
    mean: float
    sd: float | None
    mad: float
    min: float
    max: float
    histogram: Sequence[tuple[int, int, int]]


def summarise(samples: NDArray[np.unsignedinteger]) -> Summary:
    """Return the summary of at least one sample."""
    ordered = np.sort(samples)
    values = ordered.astype(np.float64)
    n = len(values)
    median = _interpolated(values, 0.5)
    return Summary(
        n=n,
        median=median,
        p50=_percentile(values, 0.5),
        p90=_percentile(values, 0.9),
        p99=_percentile(values, 0.99),
        p99_9=_percentile(values, 0.999),
        mean=float(values.mean()),
        sd=float(values.std(ddof=1)) if n > 1 else None,
        mad=_interpolated(np.sort(np.abs(values - median)), 0.5),
        min=float(values[0]),
        max=float(values[-1]),
        histogram=histogram(ordered),
    )


def histogram(ordered: NDArray[np.unsignedinteger]) -> Sequence[tuple[int, int, int]]:
    """Return (low, high, count) of each bin that is not empty; 16 equal bins between powers of two, integer ends."""
    whole = ordered.astype(np.int64)
    exponent = np.frexp(whole.astype(np.float64))[1].astype(np.int64) - 1
    exponent -= (exponent > 0) & (whole >> np.maximum(exponent, 0) == 0)  # 2**60 - 1 is 2**60 as a float
    shift = np.maximum(exponent - BINS_PER_OCTAVE_LOG2, 0)
    lows = (whole >> shift) << shift
    starts = np.concatenate(([0], np.flatnonzero(lows[1:] != lows[:-1]) + 1))
    counts = np.append(starts[1:], len(lows)) - starts
    widths = np.left_shift(1, shift[starts])
    return [
        (low, min(low + width, 2**63 - 1), count)
        for low, width, count in zip(lows[starts].tolist(), widths.tolist(), counts.tolist(), strict=True)
    ]


@lru_cache(maxsize=4096)
def interval_ranks(n: int, quantile: float) -> tuple[int, int] | None:
    """Return the ranks (1 to n) of the two order statistics that cover a quantile with 95 % or more; None if none do.

    The number of samples below the quantile is binomial whatever the distribution. Each tail gets half of what may be
    missed; where the upper end is the largest sample already, the lower tail gets what the upper one leaves.
    """
    missed = 1.0 - CONFIDENCE
    if n < 1 or 1.0 - quantile**n - (1.0 - quantile) ** n < CONFIDENCE:
        return None
    first, cumulative = _binomial(n, quantile)
    high = first + int(np.searchsorted(cumulative, 1.0 - missed / 2)) + 1
    lower_tail = missed / 2
    if high > n:
        high, lower_tail = n, missed - quantile**n
    low = first + int(np.searchsorted(cumulative, lower_tail, side="right"))
    return max(low, 1), high


def _percentile(values: NDArray[np.float64], quantile: float) -> Percentile | None:
    ranks = interval_ranks(len(values), quantile)
    if ranks is None:
        return None
    low, high = ranks
    return Percentile(_interpolated(values, quantile), float(values[low - 1]), float(values[high - 1]))


def _interpolated(ordered: NDArray[np.float64], quantile: float) -> float:
    place = quantile * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    low, high = float(ordered[below]), float(ordered[above])
    return low + (high - low) * (place - below)


def _binomial(n: int, quantile: float) -> tuple[int, NDArray[np.float64]]:
    """Return k0 and P(B <= k0), P(B <= k0 + 1) … of a binomial B, as far as anything but 0 and 1 stands there."""
    sd = math.sqrt(n * quantile * (1 - quantile))
    reach = math.ceil(_WINDOW_SD * sd) + 50
    centre = round(n * quantile)
    first, last = max(centre - reach, 0), min(centre + reach, n)
    start = (
        math.lgamma(n + 1)
        - math.lgamma(first + 1)
        - math.lgamma(n - first + 1)
        + first * math.log(quantile)
        + (n - first) * math.log1p(-quantile)
    )
    k = np.arange(first, last, dtype=np.float64)
    steps = np.log((n - k) / (k + 1)) + math.log(quantile) - math.log1p(-quantile)
    logs = start + np.concatenate(([0.0], np.cumsum(steps)))
    return first, np.cumsum(np.exp(logs))
