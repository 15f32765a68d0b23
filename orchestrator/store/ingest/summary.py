"""Summarise the samples of an attempt: percentiles with distribution-free intervals, spread, and a coarse histogram.

A percentile is given only if n samples suffice for an interval of order statistics with 95 % coverage. Percentiles
interpolate linearly between order statistics, like numpy's default.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
BINS_PER_OCTAVE_LOG2 = 4
BINS_MAX = 200
"""Each bin is a row. Sixteen bins for each power of two suffice for times that differ four-thousandfold."""

_WINDOW_SD = 12


class Percentile(NamedTuple):
    """Hold a percentile and the ends of the 95 % interval, in the unit of the samples."""

    value: float
    low: float
    high: float


class Summary(NamedTuple):
    """Hold the summary of n samples, in the unit of the samples.

    `median` is always given, `p50` only if n suffices for an interval. `sd` is None for a single sample. `mad` is the
    median absolute deviation, unscaled. `histogram` has (low, high, count) per bin.
    """

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
    """Return the summary of samples. There must be at least one sample."""
    ordered = np.sort(samples)
    values = ordered.astype(np.float64)
    n = len(values)
    median = _interpolated(values, 0.5)
    # Pairwise sums, as numpy's mean and std have them. These two cost many times the sums for few samples.
    mean = float(np.add.reduce(values)) / n
    squares = float(np.add.reduce(np.square(values - mean)))
    return Summary(
        n=n,
        median=median,
        p50=_percentile(values, 0.5),
        p90=_percentile(values, 0.9),
        p99=_percentile(values, 0.99),
        p99_9=_percentile(values, 0.999),
        mean=mean,
        sd=math.sqrt(squares / (n - 1)) if n > 1 else None,
        mad=_interpolated(np.sort(np.abs(values - median)), 0.5),
        min=float(values[0]),
        max=float(values[-1]),
        histogram=histogram(ordered),
    )


def histogram(ordered: NDArray[np.unsignedinteger]) -> Sequence[tuple[int, int, int]]:
    """Return (low, high, count) of each bin with samples, from sorted samples.

    Between two powers of two there are 16 equal bins. There are fewer where bins would be narrower than 1, or more than
    BINS_MAX in all. Ends are integers. `low` belongs to the bin, `high` does not.
    """
    # Python's integers: large samples would round on their way through a float.
    whole = ordered.astype(np.int64).data
    for per_octave_log2 in range(BINS_PER_OCTAVE_LOG2, -1, -1):
        bins = _bins(whole, per_octave_log2)
        if len(bins) <= BINS_MAX:
            break
    return bins


def _bins(whole: memoryview, per_octave_log2: int) -> Sequence[tuple[int, int, int]]:
    bins = []
    begin = 0
    while begin < len(whole):
        shift = max(whole[begin].bit_length() - 1 - per_octave_log2, 0)
        low = whole[begin] >> shift << shift
        high = low + (1 << shift)
        end = bisect_left(whole, high, begin)
        # The end of the last bin, 2**63, fits no column of either database.
        bins.append((low, min(high, 2**63 - 1), end - begin))
        begin = end
    return bins


@lru_cache(maxsize=4096)
def interval_ranks(n: int, quantile: float) -> tuple[int, int] | None:
    """Return the ranks (1 to n) of two order statistics with a coverage of a quantile of 95 % or more.

    Return None if no two order statistics reach the coverage. The number of samples below the quantile is binomial for
    every distribution. Each tail may miss 2.5 %. If the upper end is the largest sample already, the lower tail may
    miss the rest.
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
    """Return k0 and P(B <= k0), P(B <= k0 + 1) … of a binomial B(n, quantile).

    The array covers _WINDOW_SD standard deviations and more to both sides of the mean. Beyond, the values are 0 or 1 in
    double precision.
    """
    sd = math.sqrt(n * quantile * (1 - quantile))
    reach = math.ceil(_WINDOW_SD * sd) + 50
    centre = round(n * quantile)
    first, last = max(centre - reach, 0), min(centre + reach, n)
    # By logarithms: the binomial coefficients of 4 million samples overflow a float.
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
