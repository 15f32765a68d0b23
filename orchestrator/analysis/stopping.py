"""Decide when a cell has enough trials: look after look, with the cell's own history of noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.special

from orchestrator.analysis.location import Floats, cells_of, resolution, rounding_variance
from orchestrator.analysis.prior import Prior
from orchestrator.domain.policy import CONFIDENCE

FIRST_LOOK = 4
"""The fewest trials that a decision is taken on."""
HISTORY_FREEDOM = 30.0
"""How much a cell's own history weighs, in degrees of freedom."""
_CAUTION = 0.8
"""Go only this share of the way to the number of trials that the present noise asks for, then look again."""


@dataclass(frozen=True, slots=True)
class Look:
    """Hold the findings of a look at a cell's trials.

    `trials_next` is the number of trials, in total, for the next look. None: the cell is done. `low` and `high` are
    the interval around the cell's value, None with one trial. `narrow`: the interval has the wanted width.
    """

    trials_next: int | None
    value: float
    low: float | None
    high: float | None
    narrow: bool


def own_history(variances: Sequence[float], freedoms: Sequence[float]) -> Prior:
    """Return the prior of a cell's earlier nights, from the variance of each night's logarithms.

    `freedoms` has the degrees of freedom of each variance. The median is taken, since a disturbed night has an enlarged
    variance. The prior weighs as much as the nights together, up to HISTORY_FREEDOM.
    """
    variance, weight = own_histories(np.array([variances], dtype=np.float64), np.array([freedoms], dtype=np.float64))
    return Prior(float(variance[0]), float(weight[0]))


def own_histories(variances: Floats, freedoms: Floats) -> tuple[Floats, Floats]:
    """Return what `own_history` returns for many cells, as variances and weights. A cell is a row, padded with NaN."""
    if not variances.size:
        return np.zeros(len(variances)), np.zeros(len(variances))
    with np.errstate(invalid="ignore", divide="ignore"):
        known = np.isfinite(variances) & (variances > 0) & (freedoms >= 1)
        # The median of a variance lies below its mean, the more so the fewer its degrees of freedom are.
        nights = np.where(known, variances * freedoms / _median_of_chi_square(freedoms), np.nan)
    nights.sort(axis=1)  # NaN last
    count, row = np.count_nonzero(known, axis=1), np.arange(len(nights))
    middle = (nights[row, np.maximum(count - 1, 0) // 2] + nights[row, count // 2]) / 2
    # 0.6: what a median keeps of a sample
    weight = np.minimum(HISTORY_FREEDOM, 0.6 * np.where(known, freedoms, 0.0).sum(axis=1))
    return np.where(count > 0, middle, 0.0), weight


def _median_of_chi_square(freedoms: Floats) -> Floats:
    """Return the medians of chi-square variables. Few numbers of trials are different: each is computed once."""
    different, places = np.unique(freedoms, return_inverse=True)
    medians: Floats = scipy.special.chdtri(different, 0.5)
    return medians[places].reshape(freedoms.shape)


def next_look(values: Sequence[float], history: Prior, half_width: float, trials_max: int) -> Look:
    """Decide whether a cell needs more trials for an interval of `half_width`, relative: 0.01 is plus or minus 1 %.

    `values` are the values of the trials so far, at least one. The interval is of the trials lying together: far trials
    are set aside. An unruly cell goes on, up to `trials_max`.
    """
    cells = cells_of([values], [""], {"": history})
    located, step = cells.located, np.maximum(resolution(cells.rows), cells.unit)
    kept, centre = int(located.kept[0]), float(located.centre[0])
    if kept < 2:
        return Look(min(max(FIRST_LOOK, kept + 1), trials_max), math.exp(centre), None, None, narrow=False)
    variance, freedom = _shrunk(located.variance[0], kept - 1, history, float(rounding_variance(step)[0]))
    if located.unruly[0]:
        variance, freedom = float(located.variance[0]), kept - 1.0
    width = _half_width(variance, freedom, np.array([kept], dtype=np.float64))[0]
    narrow = width <= math.log1p(half_width) and not located.unruly[0]
    low, high = math.exp(centre - width), math.exp(centre + width)
    done = len(values) >= trials_max or (narrow and len(values) >= FIRST_LOOK)
    if done:
        return Look(None, math.exp(centre), low, high, bool(narrow))
    if located.unruly[0]:
        # A cell with few trials cannot spare one. With one more it may.
        return Look(min(len(values) + 1, trials_max), math.exp(centre), low, high, narrow=False)
    spare = len(values) - kept
    totals = np.arange(kept + 1, max(trials_max - spare, kept + 1) + 1, dtype=np.float64)
    enough = _half_width(variance, freedom + totals - kept, totals) <= math.log1p(half_width)
    wanted = int(totals[int(np.argmax(enough))] if enough.any() else totals[-1]) + spare
    coming = len(values) + max(1, math.floor(_CAUTION * (wanted - len(values))))
    return Look(min(max(coming, FIRST_LOOK), trials_max), math.exp(centre), low, high, narrow=False)


def _shrunk(own: float, own_freedom: float, history: Prior, floor: float) -> tuple[float, float]:
    """Return the variance shrunk to the history, unless the trials are far noisier than the history allows."""
    own = max(own, floor)
    if history.freedom > 0 and history.variance > 0:
        excess = scipy.special.fdtrc(own_freedom, history.freedom, own / history.variance)
        if excess >= 0.001:
            freedom = own_freedom + history.freedom
            return (own_freedom * own + history.freedom * history.variance) / freedom, freedom
    return own, own_freedom


def _half_width(variance: float, freedom: float | Floats, trials: Floats) -> Floats:
    quantile = scipy.special.stdtrit(freedom, 0.5 + CONFIDENCE / 2)
    widths: Floats = quantile * np.sqrt(variance / trials)
    return widths
