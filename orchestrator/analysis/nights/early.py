"""Look at cells with too few nights for a history: beside the nights so far, and beside the baseline."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from orchestrator.analysis import nightly
from orchestrator.analysis.difference import differences
from orchestrator.analysis.location import Bools, Floats, Ints, cells_of_rows, padded
from orchestrator.analysis.nights.subjects import Subject

LEVEL = 0.01
"""The p-value of a suspicion against the baseline's trials alone."""
NIGHTS_LEAST = 2
"""From so many nights on a device's cells tell how much its nights differ."""
_FREEDOM_LEAST = 8.0
"""Nights are asked where so much is known of a trial's noise, in degrees of freedom."""
_MEDIAN_OF_NIGHTS = np.pi / 2
"""The variance of a median of many values, over that of their mean."""
_MEDIAN_OF_SQUARES = 0.455
"""The median of the square of a normal value of standard deviation 1."""


@dataclass(frozen=True, slots=True)
class Young:
    """Hold cells without a history, one entry per cell: tonight's trials and value, and the nights before.

    `noise` and `weight` are what is known of a trial's variance. `value` is without `drift`. `threshold` is the
    distance of a suspicion in standard errors.
    """

    judged: Sequence[Subject]
    rows: Floats
    noise: Floats
    weight: Floats
    value: Floats
    drift: Floats
    history: Floats
    threshold: Floats


@dataclass(frozen=True, slots=True)
class EarlyLook:
    """Hold what is suspected of young cells, one entry per cell.

    `level` is the value behind the suspicion, and `error` the standard error of tonight's distance from the level.
    """

    side: Ints
    strength: Floats
    level: Floats
    error: Floats


def look_early(young: Young) -> EarlyLook:
    """Return the suspicions: by the nights where there are two or more, else by the baseline's trials."""
    able = _able(young)
    excess = _excess(young, able)
    side, strength, level, error = _by_baseline(young, excess)
    z, median, usual = _by_nights(young, able, excess)
    half = np.array([np.log1p(one.min_effect) / 2 for one in young.judged])
    bound = nightly.as_rare(young.threshold, young.weight)
    with np.errstate(invalid="ignore"):
        suspected = (np.abs(z) > bound) & (np.abs(young.value - median) >= half)
    # What both suspect stands on the nights: they know the level better than one night does.
    side = np.where(suspected, np.sign(np.nan_to_num(z)), side).astype(np.int64)
    return EarlyLook(
        side,
        np.where(suspected, np.abs(np.nan_to_num(z)), strength),
        np.where(suspected, median, level),
        np.where(suspected, usual, error),
    )


def _by_baseline(young: Young, excess: Floats) -> tuple[Ints, Floats, Floats, Floats]:
    """Return side, strength, level and error by the trials of the baseline, which may be a run of long ago."""
    cells = len(young.judged)
    side, strength = np.zeros(cells, dtype=np.int64), np.zeros(cells)
    level, error = np.full(cells, np.nan), np.full(cells, np.nan)
    base = padded([one.baseline.trials if one.baseline is not None else () for one in young.judged])
    known = np.flatnonzero(~np.isnan(base).all(axis=1))
    if not len(known):
        return side, strength, level, error
    rows, noise, weight = young.rows[known], young.noise[known], young.weight[known]
    found = differences(cells_of_rows(base[known], noise, weight), cells_of_rows(rows, noise, weight))
    found = replace(found, error=found.error * np.sqrt(excess[known]))
    least = np.array([np.log1p(young.judged[int(place)].min_effect) for place in known])
    with np.errstate(invalid="ignore", divide="ignore"):
        suspected = (found.p_values() <= LEVEL) & (np.abs(found.estimate) >= least)
        # Finite: infinity puts open regressions before all suspicions.
        strength[known] = np.abs(np.nan_to_num(found.estimate / found.error, posinf=1e9, neginf=-1e9))
    side[known] = np.where(suspected, np.sign(np.nan_to_num(found.estimate)), 0)
    # The baseline's trials have their own night's drift in them, as tonight's have: neither is taken away.
    level[known] = found.base.centre - young.drift[known]
    error[known] = found.error
    return side, strength, level, error


def _by_nights(young: Young, able: Bools, excess: Floats) -> tuple[Floats, Floats, Floats]:
    """Return tonight's distance from the median of the nights in standard errors, that median, and the error."""
    if not young.history.shape[1]:
        nothing = np.full(len(young.judged), np.nan)
        return nothing, nothing, nothing
    trials = np.count_nonzero(~np.isnan(young.rows), axis=1)
    median, nights = _median(young.history)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(excess * young.noise / trials * (1 + _MEDIAN_OF_NIGHTS / nights))
        return np.where(able, (young.value - median) / error, np.nan), median, error


def _able(young: Young) -> Bools:
    nights = np.count_nonzero(~np.isnan(young.history), axis=1)
    able: Bools = (nights >= NIGHTS_LEAST) & (young.weight >= _FREEDOM_LEAST)
    return able


def _median(nights: Floats) -> tuple[Floats, Ints]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a cell without any night has no median
        return np.nanmedian(nights, axis=1), np.count_nonzero(~np.isnan(nights), axis=1)


def _excess(young: Young, able: Bools) -> Floats:
    """Return for each cell by how much its device's nights differ more than trials explain, as a ratio of variances.

    Each night is asked how far it lay from the median of the nights before. All cells of a device answer together: few
    nights of one cell do not tell. Tonight is not asked, because a build that slows many cells would excuse itself.
    """
    excess = np.ones(len(able))
    trials = np.count_nonzero(~np.isnan(young.rows), axis=1)
    squares = []
    with np.errstate(invalid="ignore", divide="ignore"):
        for night in range(1, young.history.shape[1]):
            median, nights = _median(young.history[:, :night])
            expected = young.noise / trials * (1 + np.where(nights > 1, _MEDIAN_OF_NIGHTS, 1.0) / nights)
            squares.append((young.history[:, night] - median) ** 2 / expected)
    alike: dict[tuple[str, str], list[int]] = {}
    for place in np.flatnonzero(able):
        key = young.judged[int(place)].key
        alike.setdefault((key.device, key.metric), []).append(int(place))
    for places in alike.values():
        # The median, because disturbed nights lie far off.
        usual = float(np.nanmedian(np.array(squares)[:, places])) / _MEDIAN_OF_SQUARES
        excess[places] = max(1.0, usual)
    return excess
