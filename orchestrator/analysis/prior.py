"""Learn from a device's cells the probable noise of a further cell of the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.special
from numpy.typing import NDArray

FREEDOM_MAX = 12.0
"""Never let a prior weigh more than this many degrees of freedom: a cell's own trials must be able to disagree."""
CELLS_MIN = 4
"""Learn nothing from fewer cells: two or three variances say little of a fourth."""
SHARE_MAX = 1 / 8
"""Never let a prior weigh more than this share of the freedom of all cells together."""
_FREEDOMS = np.array([0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, FREEDOM_MAX])
_LOW, _MIDDLE = 0.2, 0.5


@dataclass(frozen=True, slots=True)
class Prior:
    """Hold the knowledge of a cell's noise before the cell is measured.

    `variance` is the variance of the natural logarithm of a trial's value. `freedom` is the weight of that knowledge,
    in degrees of freedom. A freedom of 0 means no knowledge.
    """

    variance: float
    freedom: float


NOTHING_KNOWN = Prior(0.0, 0.0)


def fit_prior(variances: Sequence[float] | NDArray[np.float64], freedoms: Sequence[float] | NDArray[np.int64]) -> Prior:
    """Fit a prior to the variances of a device's cells, each with its degrees of freedom.

    Variances of cells scatter more than trials of a common variance explain. The excess decides the prior's freedom:
    similar cells make a heavy prior. Only quantiles up to the median count, because outliers enlarge variances.
    Source: the scaled F distribution of variances, Smyth (2004), matched at two quantiles instead of by moments.
    """
    known = np.isfinite(variances) & (np.asarray(variances) > 0) & (np.asarray(freedoms) >= 1)
    used = np.asarray(variances, dtype=np.float64)[known]
    if used.size < CELLS_MIN:
        return NOTHING_KNOWN
    own = _quantile(np.asarray(freedoms, dtype=np.float64)[known], _MIDDLE)
    low, middle = _quantile(used, _LOW), _quantile(used, _MIDDLE)
    # The expected distance of the quantiles falls as the freedom grows, and np.interp wants ascending abscissae.
    freedom = float(np.interp(np.log(middle / low), _distances(own)[::-1], _FREEDOMS[::-1]))
    freedom = min(freedom, SHARE_MAX * used.size * own)
    return Prior(float(middle / scipy.special.fdtri(own, freedom, _MIDDLE)), freedom)


def _quantile(values: NDArray[np.float64], share: float) -> float:
    """Return a quantile, linear between two values: what `numpy.quantile` says, at a tenth of its cost."""
    # The cost counts: a comparison of a lab's run fits a prior to each device, several times.
    ordered = np.sort(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    low, high = float(ordered[below]), float(ordered[min(below + 1, len(ordered) - 1)])
    part = place - below
    # From the nearer end, as numpy does: the result is the same to the last bit.
    return low + (high - low) * part if part < 0.5 else high - (high - low) * (1 - part)


@lru_cache(maxsize=256)
def _distances(own: float) -> NDArray[np.float64]:
    """Return how far apart the two quantiles are expected to be, as a logarithm, by the prior's freedom."""
    middle, low = (scipy.special.fdtri(own, _FREEDOMS, share) for share in (_MIDDLE, _LOW))
    distances: NDArray[np.float64] = np.log(middle / low)
    distances.setflags(write=False)
    return distances
