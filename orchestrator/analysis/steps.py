"""Find the nights on which series stepped to another level, from the values alone.

A series is a row of nightly values on the logarithmic scale, NaN for nights without a value. A search
repeated every night errs often: the penalty is chosen for repeated searches, not for a single look back.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PENALTY = 4.8
"""How many standard errors a step must be worth. docs/decisions/0026 has the rates for a search repeated nightly."""
WINDOW = 9
"""Spikes shorter than half of this many nights are cut off."""
_CUT = 3.0
_BLOCKS, _BLOCKS_LEAST = (3, 5, 10, 20), 8
SIDE_MAX = 30
"""The change is measured between so many nights on each side of the step."""
NIGHTS_LEAST = 4
"""A level lasts at least so many nights."""
EXCURSION = 10
"""A level that is left within so many nights, back to the one before, was none."""
_ROBUST = 1.4826
_FLOOR = 1e-6


@dataclass(frozen=True, slots=True)
class Step:
    """Hold a step: the first night of the new level, the change as a logarithm, and the change in standard errors."""

    night: int
    change: float
    errors: float


def find_steps(series: Floats, min_effect: float, penalty: float = PENALTY) -> list[tuple[Step, ...]]:
    """Return the steps of each series, in the order of nights. `min_effect` is relative: 0.02 is two per cent."""
    if series.shape[1] < 2 * NIGHTS_LEAST:
        return [()] * len(series)
    calm = _without_spikes(series)
    noise = _noise(calm)
    starts = _partition(calm / noise[:, None], penalty**2)
    return [
        _checked(row, float(scale), [int(night) for night in places], (np.log1p(min_effect), penalty))
        for row, scale, places in zip(calm, noise, starts, strict=True)
    ]


def _without_spikes(series: Floats) -> Floats:
    """Return the series with values far off the running median cut to the edge of the usual."""
    half = WINDOW // 2
    padded = np.pad(series, ((0, 0), (half, half)), constant_values=np.nan)
    running = _medians(np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=1))
    scale = _ROBUST * _medians(np.abs(series - running))[:, None]
    return np.clip(series, running - _CUT * scale, running + _CUT * scale)


def _noise(calm: Floats) -> Floats:
    """Return the standard deviation of a night as far as levels depend on the deviation.

    Nights depending on each other make levels wander. The differences of blocks of nights show the wandering, the
    longer the blocks the more. Steps, being few, do not move the median of such differences.
    """
    # The difference of two independent nights has twice the variance of a night.
    noise = np.nan_to_num(_ROBUST * _medians(np.abs(np.diff(calm, axis=1))) / np.sqrt(2))
    for block in _BLOCKS:
        if calm.shape[1] >= _BLOCKS_LEAST * block:
            noise = np.fmax(noise, np.nan_to_num(_noise_of_blocks(calm, block)))
    return np.asarray(np.maximum(noise, _FLOOR))


def _noise_of_blocks(calm: Floats, block: int) -> Floats:
    blocks = calm[:, calm.shape[1] % block :].reshape(len(calm), -1, block)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.nansum(blocks, axis=2) / np.count_nonzero(~np.isnan(blocks), axis=2)
    return np.asarray(_ROBUST * _medians(np.abs(np.diff(means, axis=1))) * np.sqrt(block / 2))


def _partition(series: Floats, penalty: float) -> list[list[int]]:
    """Return the starts of the levels, but the first, with the least sum of squared deviations and penalties.

    Source: optimal partitioning, Jackson and others (2005), for all series at once.
    """
    count, nights = series.shape
    centred = np.nan_to_num(series - _medians(series)[:, None])
    sums = _prefix(centred)
    squares = _prefix(centred**2)
    known = _prefix((~np.isnan(series)).astype(np.float64))
    best = np.full((count, nights + 1), np.inf)
    # The first level is no step, and costs no penalty.
    best[:, 0] = -penalty
    previous = np.zeros((count, nights + 1), dtype=np.int64)
    for end in range(NIGHTS_LEAST, nights + 1):
        begins = slice(0, end - NIGHTS_LEAST + 1)
        total = sums[:, end, None] - sums[:, begins]
        cost = squares[:, end, None] - squares[:, begins]
        cost -= total * total / np.maximum(known[:, end, None] - known[:, begins], 1.0)
        cost += best[:, begins] + penalty
        previous[:, end] = cost.argmin(axis=1)
        best[:, end] = np.take_along_axis(cost, previous[:, end, None], axis=1)[:, 0]
    return [_walk(row, nights) for row in previous]


def _walk(previous: NDArray[np.int64], nights: int) -> list[int]:
    starts: list[int] = []
    place = int(previous[nights])
    while place > 0:
        starts.append(place)
        place = int(previous[place])
    return starts[::-1]


def _checked(row: Floats, noise: float, starts: list[int], least: tuple[float, float]) -> tuple[Step, ...]:
    """Return the steps of sufficient size, after taking the weakest of the other steps away in turn."""
    while True:
        edges = [0, *starts, len(row)]
        steps = [_step(row, noise, edges[index : index + 3]) for index in range(len(starts))]
        weak = [step for step in steps if abs(step.change) < least[0] or step.errors < least[1]]
        if weak:
            # One at a time: without the weakest step its neighbours have longer levels, and may be strong enough.
            starts.remove(min(weak, key=lambda step: step.errors).night)
            continue
        excursion = _excursion(steps)
        if not excursion:
            return tuple(steps)
        starts = [night for night in starts if night not in excursion]


def _excursion(steps: list[Step]) -> tuple[int, ...]:
    """Return the nights of two steps cancelling each other before long: the series went out and came back."""
    for step, following in itertools.pairwise(steps):
        together = abs(step.change + following.change)
        if following.night - step.night < EXCURSION and 2 * together < max(abs(step.change), abs(following.change)):
            return step.night, following.night
    return ()


def _step(row: Floats, noise: float, edges: list[int]) -> Step:
    first, night, last = edges
    before, after = row[max(first, night - SIDE_MAX) : night], row[night : min(last, night + SIDE_MAX)]
    before, after = before[~np.isnan(before)], after[~np.isnan(after)]
    if not (len(before) and len(after)):
        return Step(night, 0.0, 0.0)
    error = noise * float(np.sqrt(1 / len(before) + 1 / len(after)))
    change = float(np.median(after) - np.median(before))
    return Step(night, change, abs(float(after.mean() - before.mean())) / error)


def _medians(values: Floats) -> Floats:
    """Return the median over the last axis, NaN left out: faster than numpy's on many short rows."""
    ordered = np.sort(values, axis=-1)
    known = np.count_nonzero(~np.isnan(values), axis=-1)
    low = np.take_along_axis(ordered, np.maximum((known - 1) // 2, 0)[..., None], axis=-1)[..., 0]
    high = np.take_along_axis(ordered, np.minimum(known // 2, values.shape[-1] - 1)[..., None], axis=-1)[..., 0]
    high = np.where(known % 2 == 1, low, high)
    return np.asarray((low + high) / 2)


def _prefix(values: Floats) -> Floats:
    return np.pad(np.cumsum(values, axis=1), ((0, 0), (1, 0)))
