"""Learn from a device's cells the probable noise of a further cell of the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    own = float(np.median(np.asarray(freedoms, dtype=np.float64)[known]))
    low, middle = np.quantile(used, [_LOW, _MIDDLE])
    expected = np.log(scipy.special.fdtri(own, _FREEDOMS, _MIDDLE) / scipy.special.fdtri(own, _FREEDOMS, _LOW))
    # The expected distance of the quantiles falls as the freedom grows, and np.interp wants ascending abscissae.
    freedom = float(np.interp(np.log(middle / low), expected[::-1], _FREEDOMS[::-1]))
    freedom = min(freedom, SHARE_MAX * used.size * own)
    return Prior(float(middle / scipy.special.fdtri(own, freedom, _MIDDLE)), freedom)
