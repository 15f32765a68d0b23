"""Describe how raw samples are distributed: the same bins for all trials, and the share of samples up to a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

BINS = 60
STEPS = 201
"""Points of a cumulated share: every half per cent."""
POINTS_MAX = 2_000
"""Samples of a trial that a drawing gets: more lie within one point of a screen."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Count samples by bin, trial by trial. `edges` has one value more than each list of `counts`.

    The bins reach from the smallest sample to the 99.9th percentile. `above` counts the samples beyond, by trial.
    """

    edges: tuple[float, ...]
    counts: tuple[tuple[int, ...], ...]
    above: tuple[int, ...]


def histogram(trials: Sequence[Any]) -> Histogram | None:
    """Return the samples of all trials in equal bins. None without samples."""
    known = [np.asarray(one, dtype=np.float64) for one in trials]
    together = np.concatenate(known) if known else np.empty(0)
    if not together.size:
        return None
    low = float(together.min())
    # One sample in a thousand may lie so far off that all others would share a bin.
    high = float(np.quantile(together, 0.999))
    if high <= low:
        # Bins of no width would hold nothing. Samples are whole numbers.
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    counts = tuple(tuple(int(number) for number in np.histogram(one, bins=edges)[0]) for one in known)
    above = tuple(int((one > high).sum()) for one in known)
    return Histogram(tuple(float(edge) for edge in edges), counts, above)


def quantiles(samples: Any) -> tuple[float, ...]:
    """Return the values below which lie 0 %, 0.5 % … 100 % of the samples, interpolated linearly between samples."""
    values = np.asarray(samples, dtype=np.float64)
    return tuple(float(value) for value in np.quantile(values, np.linspace(0.0, 1.0, STEPS))) if values.size else ()


def thinned(samples: Any) -> tuple[int, tuple[int, ...]]:
    """Return every how many samples one was taken, and the samples taken in order: at most POINTS_MAX."""
    step = max(1, -(-len(samples) // POINTS_MAX))
    return step, tuple(int(value) for value in samples[::step])
