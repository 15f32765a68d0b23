"""Locate the value of each cell among its trials, and set too distant trials aside.

A cell is a row of natural logarithms of trial values, padded with NaN. All functions work on many cells at once.
docs/decisions/0022 compares the method with others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.special
from numpy.typing import NDArray

from orchestrator.analysis.prior import NOTHING_KNOWN, Prior, fit_prior

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

OUTLIER_LEVEL = 0.005
"""The share of undisturbed cells of which a trial is set aside."""
TIE = 1e-9
"""Logarithms nearer to each other than this are the same value: the difference is rounding."""
_PASSES = 3


@dataclass(frozen=True, slots=True)
class Located:
    """Hold the located trials of each cell, an entry per cell.

    `trials` counts all trials, `kept` the trials not set aside. `centre` is the mean of the kept logarithms, and
    `variance` the sample variance, NaN below two. `set_aside` marks trials, in the order given. A cell is `unruly` if
    more trials lie off than the cell can spare. No trial of an unruly cell is set aside.
    """

    trials: Ints
    kept: Ints
    centre: Floats
    variance: Floats
    set_aside: Bools
    unruly: Bools

    def at(self, chosen: Ints) -> Located:
        """Return the chosen cells, in the order of `chosen`, which may repeat."""
        return Located(
            self.trials[chosen],
            self.kept[chosen],
            self.centre[chosen],
            self.variance[chosen],
            self.set_aside[chosen],
            self.unruly[chosen],
        )


@dataclass(frozen=True, slots=True)
class Cells:
    """Hold cells with all knowledge of each cell, an entry per cell.

    `unit` is the least possible step of a cell's values, as a logarithm. `prior_variance` and `prior_freedom` are the
    prior of the cell's device.
    """

    rows: Floats
    located: Located
    unit: Floats
    prior_variance: Floats
    prior_freedom: Floats

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, chosen: Ints) -> Cells:
        """Return the chosen cells, in the order of `chosen`, which may repeat."""
        return Cells(
            self.rows[chosen],
            self.located.at(chosen),
            self.unit[chosen],
            self.prior_variance[chosen],
            self.prior_freedom[chosen],
        )


def as_rows(cells: Sequence[Sequence[float]]) -> Floats:
    """Return the logarithms of the cells' values as rows, padded with NaN."""
    rows = np.full((len(cells), max((len(values) for values in cells), default=1) or 1), np.nan)
    for row, values in zip(rows, cells, strict=True):
        row[: len(values)] = np.log(np.asarray(values, dtype=np.float64))
    return rows


def padded(rows: Sequence[Sequence[float]]) -> Floats:
    """Return logarithms as rows padded with NaN."""
    # A column at least: a row without any value is a row all the same.
    found = np.full((len(rows), max(1, *(len(one) for one in rows)) if rows else 1), np.nan)
    for row, values in zip(found, rows, strict=True):
        row[: len(values)] = values
    return found


def spared(trials: Ints) -> Ints:
    """Return how many trials of each cell may be set aside: fewer than half, and none of four or fewer."""
    return np.maximum((trials - 1) // 2 - 1, 0)


def resolution(rows: Floats) -> Floats:
    """Return the smallest step between different values of each row, 0 where all values are the same.

    Rounded values lie on a grid. No grid is coarser than the smallest step seen.
    """
    steps = np.diff(np.sort(rows, axis=1), axis=1)
    steps = np.where(steps > TIE, steps, np.inf)  # a NaN compares as False, and becomes infinite too
    smallest = steps.min(axis=1, initial=np.inf)
    return np.where(np.isfinite(smallest), smallest, 0.0)


def unit_step(values: Sequence[float]) -> float:
    """Return the least possible step of values, as a logarithm: a unit for whole numbers, else 0."""
    return math.log1p(1 / max(values)) if values and all(float(value).is_integer() for value in values) else 0.0


def rounding_variance(step: Floats) -> Floats:
    """Return the variance added by rounding to a grid of the given step: a uniform error of the step's width."""
    return step**2 / 12


def locate(rows: Floats, prior_variance: Floats | float, prior_freedom: Floats | float, step: Floats) -> Located:
    """Locate cells, each with its own prior, or all with a common prior.

    Trials are taken away in turn, the farthest from the median first. As many are set aside as lie off up to the last
    trial, judged by the noise of the rest: Rosner's test (1983), with a variance shrunk to the prior.
    `step` is the resolution of each cell's values, as a logarithm.
    """
    floor = rounding_variance(step)
    order = np.argsort(rows, axis=1)  # NaN last
    in_order = np.take_along_axis(rows, order, axis=1)
    first, last = _all(rows)
    middle = np.nan_to_num(_median(in_order, first, last))
    # About the median: sums of squares of large logarithms would round small deviations away.
    values = in_order - middle[:, None]
    trials = last + 1
    allowed = spared(trials)
    taken = np.zeros_like(trials)
    kept_first, kept_last = first.copy(), last.copy()
    # Beyond what may be set aside, up to half of the trials are tried: two humps of equal size are unruly too.
    known = np.nan_to_num(values)
    sums = (_prefix_sums(known), _prefix_sums(known**2))
    for step_number in range(rows.shape[1] // 2):
        low_end = _farther_below(values, first, last)
        removed = _at(values, np.where(low_end, first, last))
        first, last = first + low_end, last - ~low_end
        off = _lies_off(removed, _rest(sums, first, last), (prior_variance, prior_freedom), floor, trials)
        found = off & (2 * (step_number + 1) <= trials)
        taken = np.where(found, step_number + 1, taken)
        kept_first, kept_last = np.where(found, first, kept_first), np.where(found, last, kept_last)
    unruly = taken > allowed
    whole_first, whole_last = _all(rows)
    kept_first, kept_last = np.where(unruly, whole_first, kept_first), np.where(unruly, whole_last, kept_last)
    kept, centre, squares = _moments(values, kept_first, kept_last)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.where(kept > 1, squares / (kept - 1), np.nan)
    places = np.arange(rows.shape[1])
    outside = (places < kept_first[:, None]) | (places > kept_last[:, None])
    set_aside = np.zeros(rows.shape, dtype=bool)
    np.put_along_axis(set_aside, order, outside & (places < trials[:, None]), axis=1)
    return Located(trials, kept, np.where(trials > 0, centre + middle, np.nan), variance, set_aside, unruly)


def cells_of(
    values: Sequence[Sequence[float]], devices: Sequence[str], priors: Mapping[str, Prior] | None = None
) -> Cells:
    """Locate cells of several devices, given a positive value per trial.

    Each device's prior is learnt from the device's own cells, unless `priors` has a prior.
    """
    rows = as_rows(values)
    unit = np.array([unit_step(cell) for cell in values], dtype=np.float64)
    step = np.maximum(resolution(rows), unit)
    numbers = {device: number for number, device in enumerate(dict.fromkeys(devices))}
    owner = np.array([numbers[device] for device in devices], dtype=np.int64)
    known = priors or {}
    located, found = locate_of_devices(rows, step, owner, [known.get(device) for device in numbers])
    variances, freedoms = (
        np.array([getattr(prior, name) for prior in found], dtype=np.float64) for name in ("variance", "freedom")
    )
    return Cells(rows, located, unit, variances[owner], freedoms[owner])


def cells_of_rows(rows: Floats, prior_variance: Floats, prior_freedom: Floats) -> Cells:
    """Locate rows of logarithms, each with a prior of its own."""
    located = locate(rows, prior_variance, prior_freedom, resolution(rows))
    return Cells(rows, located, np.zeros(len(rows)), prior_variance, prior_freedom)


def locate_alike(rows: Floats, step: Floats) -> tuple[Located, Prior]:
    """Locate the cells of one device, and learn the device's prior from the same cells."""
    located, (prior,) = locate_of_devices(rows, step, np.zeros(len(rows), dtype=np.int64), [None])
    return located, prior


def locate_of_devices(
    rows: Floats, step: Floats, owner: Ints, priors: Sequence[Prior | None]
) -> tuple[Located, list[Prior]]:
    """Locate the cells of several devices, and learn the priors of devices without one from their own cells.

    `owner` is the number of each cell's device. The prior decides on trials to set aside, and trials set aside must not
    shape the prior: both are found in turns.
    """
    # All devices at once: a device alone takes as many calls, and nearly as long, as a lab.
    found = [NOTHING_KNOWN if prior is None else prior for prior in priors]
    learners = [(number, np.flatnonzero(owner == number)) for number, prior in enumerate(priors) if prior is None]
    for _ in range(_PASSES if learners else 0):
        located = _located(rows, step, owner, found)
        noise = np.maximum(located.variance, rounding_variance(step))
        for number, places in learners:
            found[number] = fit_prior(noise[places], located.kept[places] - 1)
    return _located(rows, step, owner, found), found


def _located(rows: Floats, step: Floats, owner: Ints, priors: Sequence[Prior]) -> Located:
    variances = np.array([prior.variance for prior in priors], dtype=np.float64)
    freedoms = np.array([prior.freedom for prior in priors], dtype=np.float64)
    return locate(rows, variances[owner], freedoms[owner], step)


def _lies_off(
    removed: Floats,
    rest: tuple[Ints, Floats, Floats],
    prior: tuple[Floats | float, Floats | float],
    floor: Floats,
    trials: Ints,
) -> Bools:
    """Return where a removed trial lies off the rest, as a deleted studentised residual of a moderated variance."""
    count, mean, squares = rest
    variance, weight = prior
    freedom = np.maximum(weight + count - 1, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        noise = np.maximum((weight * variance + squares) / freedom, floor)
        size = np.abs(removed - mean) / np.sqrt(noise * (1 + 1 / count))
        chance = 2 * scipy.special.stdtr(freedom, -size)
        # The level is the whole cell's: each of its trials might have been the farthest.
        off: Bools = (count >= 2) & (noise > 0) & (chance <= OUTLIER_LEVEL / np.maximum(trials, 1))
    return off


def _all(rows: Floats) -> tuple[Ints, Ints]:
    """Return the first and the last place of each sorted row that holds a value."""
    counts = np.count_nonzero(~np.isnan(rows), axis=1).astype(np.int64)
    return np.zeros_like(counts), counts - 1


def _at(values: Floats, places: Ints) -> Floats:
    """Return one value of each row."""
    # Asked nine times for each trial taken away: by plain indices in a fifth of the time of `take_along_axis`.
    found: Floats = values[np.arange(len(values)), np.maximum(places, 0)]
    return found


def _median(values: Floats, first: Ints, last: Ints) -> Floats:
    """Return the median of the places from `first` to `last` of each sorted row."""
    return (_at(values, (first + last) // 2) + _at(values, (first + last + 1) // 2)) / 2


def _farther_below(values: Floats, first: Ints, last: Ints) -> Bools:
    """Return where the lowest value lies farther from the median than the highest."""
    middle = _median(values, first, last)
    return middle - _at(values, first) > _at(values, last) - middle


def _prefix_sums(values: Floats) -> Floats:
    """Return the sums of the first 0, 1, 2... values of each row."""
    sums = np.zeros((len(values), values.shape[1] + 1))
    np.cumsum(values, axis=1, out=sums[:, 1:])
    return sums


def _rest(sums: tuple[Floats, Floats], first: Ints, last: Ints) -> tuple[Ints, Floats, Floats]:
    """Return the result of `_moments`, from prefix sums of values and of squares about the median."""
    count = np.maximum(last - first + 1, 0)
    total, squares = (_at(sum_, last + 1) - _at(sum_, first) for sum_ in sums)
    mean = total / np.maximum(count, 1)
    return count, mean, np.maximum(squares - mean * total, 0.0)


def _moments(values: Floats, first: Ints, last: Ints) -> tuple[Ints, Floats, Floats]:
    """Return count, mean and sum of squared deviations of the places from `first` to `last` of each row."""
    places = np.arange(values.shape[1])
    chosen = (places >= first[:, None]) & (places <= last[:, None])
    count = np.maximum(last - first + 1, 0)
    mean = np.where(chosen, values, 0.0).sum(axis=1) / np.maximum(count, 1)
    deviations = np.where(chosen, values - mean[:, None], 0.0)
    # Equal values have no variance. The rounding of logarithms must not invent one.
    return count, mean, np.where(np.abs(deviations) > TIE / 2, deviations, 0.0).__pow__(2).sum(axis=1)
