"""Describe raw samples for drawings: the share of samples up to a value, and so many samples as a screen shows."""

from __future__ import annotations

from typing import Any

import numpy as np

STEPS = 201
"""Points of a cumulated share: every half per cent."""
POINTS_MAX = 2_000
"""Samples of a trial that a drawing gets: more lie within one point of a screen."""


def quantiles(samples: Any) -> tuple[float, ...]:
    """Return the values below which lie 0 %, 0.5 % … 100 % of the samples, interpolated linearly between samples."""
    values = np.asarray(samples, dtype=np.float64)
    return tuple(float(value) for value in np.quantile(values, np.linspace(0.0, 1.0, STEPS))) if values.size else ()


def thinned(samples: Any) -> tuple[int, tuple[int, ...]]:
    """Return every how many samples one was taken, and the samples taken in order: at most POINTS_MAX."""
    step = max(1, -(-len(samples) // POINTS_MAX))
    return step, tuple(int(value) for value in samples[::step])
