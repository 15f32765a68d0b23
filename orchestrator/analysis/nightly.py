"""Judge a night's cells against their own history, in stages. Only the last stage confirms a regression.

A first look suspects, with a threshold that keeps each cell to its allowance of device time. A second look repeats the
candidate alone. The confirmation measures baseline and candidate interleaved, on the same device in the same night.
All functions work on many cells at once, and keep no state: histories and thresholds are the caller's to store.
docs/decisions/0026 has the tried settings.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import scipy.special
from numpy.typing import NDArray

from orchestrator.analysis.difference import POWER, differences
from orchestrator.analysis.location import Bools, Cells, Floats, Ints, cells_of_rows, locate, resolution

WINDOW = 30
"""How many nights of its present segment a cell is compared with."""
NIGHTS_MIN = 8
"""A cell with a shorter history is measured and not judged."""
THRESHOLD_START, THRESHOLD_LEAST, THRESHOLD_MOST = 2.2, 1.7, 2.8
ALLOWANCE = 0.08
"""The device time for second looks and confirmations, as a share of the plain nights' time."""
DRIFT_ALLOWANCE = 0.1
"""How much more of that a cell may spend whose nights hang together wholly. Others have a share of it."""
_ADAPTATION = 0.12
SECOND_LOOK_SHARE = 0.6
"""The trials of a second look over those of the first: a step of 3 % at 2 % noise passes with 3 of 5 in 97 %."""
SECOND_LOOK_LEAST = 1.0
DRIFT_MOST = 0.35
"""The second look is skipped where nights depend on each other more than this: the drift would be seen once more."""
LOOKS = (5, 10, 20, 30)
"""How many trials a side the confirmation has at each of its looks."""
_CONFIRM = (4.6, 4.1, 3.9, 3.8)
# Infinity: a cell that the last look does not confirm is given up.
_GIVE_UP = (1.0, 1.6, 2.4, np.inf)
HISTORY_FREEDOM = 30.0
"""How much a history of many nights weighs, in degrees of freedom."""
# Times the median of absolute deviations: the standard deviation of normal values.
_ROBUST = 1.4826
_MEDIAN_OF_THREE = 0.67
"""The standard deviation of the median of three normal values of standard deviation 1."""


def night_value(rows: Floats, noise: Floats, weight: Floats | float = HISTORY_FREEDOM) -> tuple[Floats, Floats]:
    """Return each cell's value and variance of a trial tonight, from rows of logarithms of trials.

    `noise` is the variance of a trial by the cell's own history. `weight` is the weight of that noise, in degrees of
    freedom. The value of an unruly cell is the median: two far trials of five cannot move a median far.
    """
    located = locate(rows, noise, weight, resolution(rows))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a cell without any trial has no median
        return np.where(located.unruly, np.nanmedian(rows, axis=1), located.centre), located.variance


@dataclass(frozen=True, slots=True)
class Expectation:
    """Hold the expectation of each cell's history for tonight, on the logarithmic scale.

    `value` is tonight's expected value: the median of the window, and the share `drift` of last night's deviation from
    the median. `scale` is the usual error of the expectation. All are NaN for cells of fewer than NIGHTS_MIN nights.
    """

    value: Floats
    median: Floats
    drift: Floats
    scale: Floats


def expect(history: Floats, trial_error: Floats) -> Expectation:
    """Learn from the nights before: rows of nightly values, the last night last, NaN for nights without a value.

    `trial_error` is the standard error of a night's trials, a floor of the scale.
    """
    window = history[:, -WINDOW:]
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # a cell without any night has no median
        nights = np.count_nonzero(~np.isnan(window), axis=1)
        median = np.nanmedian(window, axis=1)
        deviations = window - median[:, None]
        drift = _drift(deviations, nights)
        errors = deviations[:, 1:] - drift[:, None] * deviations[:, :-1]
        scale = _ROBUST * np.nanmedian(np.abs(errors - np.nanmedian(errors, axis=1)[:, None]), axis=1)
        last = np.nan_to_num(deviations[:, -1]) if window.shape[1] else np.zeros(len(window))
    known = nights >= NIGHTS_MIN
    # A spike last night says nothing of tonight: no more of it is carried over than a usual night deviates.
    usual = 2 * scale / np.sqrt(1 - drift**2)
    carried = drift * np.clip(last, -usual, usual)
    return Expectation(
        np.where(known, median + carried, np.nan),
        np.where(known, median, np.nan),
        np.where(known, drift, np.nan),
        np.where(known, np.maximum(scale, trial_error), np.nan),
    )


def first_look(expected: Expectation, history: Floats, tonight: Floats, threshold: Floats) -> Ints:
    """Return +1 where tonight looks slower, -1 where faster, 0 where nothing is suspected.

    Tonight's value alone must pass the threshold, or the median of tonight and the two nights before must pass a higher
    threshold: a small step is seen in the second way.
    """
    recent = np.column_stack([history[:, -2:], tonight])
    with np.errstate(invalid="ignore"):
        now = (tonight - expected.value) / expected.scale
        lately = (np.median(recent, axis=1) - expected.median) / (expected.scale * _MEDIAN_OF_THREE)
        # A night without a value leaves no median of three: tonight's value decides alone then, as on a drifting cell.
        lately = np.where((expected.drift < DRIFT_MOST) & ~np.isnan(lately), lately, 0.0)
        strongest = np.where(np.abs(now) - threshold >= np.abs(lately) - threshold - 0.5, now, lately)
        suspected = (np.abs(now) > threshold) | (np.abs(lately) > threshold + 0.5)
    return np.where(suspected, np.sign(np.nan_to_num(strongest)), 0).astype(np.int64)


def detectable(threshold: Floats, scale: Floats) -> Floats:
    """Return the change, as a logarithm, with a probability of POWER to pass a first look's threshold."""
    return np.asarray((threshold + scipy.special.ndtri(POWER)) * scale)


def second_look_due(expected: Expectation, side: Ints) -> Bools:
    """Return where the candidate is worth a second look before the baseline is measured too."""
    due: Bools = (side != 0) & (expected.drift < DRIFT_MOST)
    return due


def stands(level: Floats, error: Floats, again: Floats, side: Ints) -> Bools:
    """Return where the second look lies on the suspected side of a level still, by an error of one look."""
    with np.errstate(invalid="ignore"):
        still: Bools = side * (again - level) / error > SECOND_LOOK_LEAST
    return still


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Hold the state of each cell after a look: confirmed, given up, or neither.

    `estimate` is the candidate over the baseline with its standard `error`, both as logarithms.
    """

    confirmed: Bools
    given_up: Bools
    estimate: Floats
    error: Floats


def confirm(
    rows: tuple[Floats, Floats],
    noise: Floats,
    side: Ints,
    look: int,
    min_effect: Floats,
    *,
    weight: Floats | float = HISTORY_FREEDOM,
) -> Confirmation:
    """Judge the candidate against the baseline at one of the LOOKS.

    `rows` are the logarithms of the interleaved trials of one night, of the baseline and of the candidate.

    `noise` is the variance of a trial by the cell's own history. `min_effect` is a logarithm. Confirmed: beyond the
    look's bound on the suspected side, by the minimum effect or more. A cell without a verdict at the last look is
    given up. `weight` is the weight of `noise`, in degrees of freedom: below HISTORY_FREEDOM the bound grows, and
    few nights confirm as rarely by chance as many.
    """
    weights = np.broadcast_to(np.asarray(weight, dtype=np.float64), noise.shape)
    sides: tuple[Cells, Cells] = (cells_of_rows(rows[0], noise, weights), cells_of_rows(rows[1], noise, weights))
    found = differences(*sides)
    bound = np.where(weights < HISTORY_FREEDOM, as_rare(_CONFIRM[look], found.freedom), _CONFIRM[look])
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = side * found.estimate / found.error
    judged = ~found.unruly | found.separate
    confirmed = judged & (distance > bound) & (side * found.estimate >= min_effect)
    # An unruly look says nothing: with more trials the far ones may be few enough to be set aside.
    hopeless = ~(distance >= _GIVE_UP[look]) & (judged | (look == len(LOOKS) - 1))
    return Confirmation(confirmed, ~confirmed & hopeless, found.estimate, found.error)


def as_rare(bound: float | Floats, freedom: Floats) -> Floats:
    """Return the bound of a t statistic, passed by chance as rarely as `bound` by a normal value."""
    with np.errstate(invalid="ignore"):
        quantile: Floats = -scipy.special.stdtrit(np.maximum(freedom, 1.0), scipy.special.ndtr(-bound))
    return quantile


def adapt(threshold: Floats, spent: Floats, drift: Floats, allowance: float = ALLOWANCE) -> Floats:
    """Return each cell's threshold for the next night. `spent` is tonight's extra time, in plain nights of the cell.

    A drifting cell is allowed more: the history says less, and the baseline must be measured more often.
    """
    allowed = allowance + DRIFT_ALLOWANCE * np.nan_to_num(drift)
    return np.clip(threshold + _ADAPTATION * (spent - allowed), THRESHOLD_LEAST, THRESHOLD_MOST)


def shared_drift(canary_history: Floats, canary_tonight: Floats) -> float:
    """Return how far the device as a whole has drifted tonight, as a logarithm, by its canaries alone.

    Rows are canaries: unchanging models. The canaries' median deviation is shrunk by the noise of a single canary, and
    a device without any shared drift is left alone. Cells under test must not be asked: a runtime slowing all cells
    would be taken for drift.
    """
    if not len(canary_history):
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        nights = np.column_stack([canary_history[:, -WINDOW:], canary_tonight])
        deviations = nights - np.nanmedian(nights[:, :-1], axis=1)[:, None]
        common = np.nanmedian(deviations, axis=0)
        apart = np.nanmedian(np.abs(deviations - common)) * _ROBUST
        spread = _ROBUST * np.nanmedian(np.abs(common[:-1]))
    canaries = np.count_nonzero(~np.isnan(canary_tonight))
    if canaries == 0 or np.isnan(spread) or np.isnan(common[-1]):
        return 0.0
    alone = apart**2 / canaries
    share = max(0.0, 1 - alone / spread**2) if spread > 0 else 0.0
    return float(share * common[-1])


def _drift(deviations: Floats, nights: NDArray[np.int64]) -> Floats:
    """Return how much of a night's deviation is left the night after, between 0 and 0.9, shrunk for short histories."""
    # A single spike would outweigh all other nights in sums of squares.
    bound = 3 * _ROBUST * np.nanmedian(np.abs(deviations), axis=1)
    calm = np.clip(deviations, -bound[:, None], bound[:, None])
    together = np.nansum(calm[:, 1:] * calm[:, :-1], axis=1)
    alone = np.nansum(calm[:, :-1] ** 2, axis=1)
    raw = np.where(alone > 0, together / np.where(alone > 0, alone, 1.0), 0.0)
    # Few nights make the estimate too small: Kendall's correction (1954).
    unbiased = raw + (1 + 3 * raw) / np.maximum(nights, 1)
    # Below 1: a drift of 1 would make the usual deviation infinite, and carry a spike over for ever.
    return np.clip(unbiased, 0.0, 0.9) * nights / (nights + 8.0)
