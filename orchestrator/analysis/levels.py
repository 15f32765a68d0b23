"""Estimate the level of single cells over time, each with an interval, and find the steps between levels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.special

from orchestrator.analysis.difference import GRID_MAX, disagree
from orchestrator.analysis.location import Floats, cells_of, resolution, rounding_variance
from orchestrator.analysis.ratio import usable
from orchestrator.analysis.steps import NIGHTS_LEAST, SIDE_MAX, Step, find_steps
from orchestrator.domain.policy import CONFIDENCE

STEPS_FROM = 2 * NIGHTS_LEAST
"""A step is sought in so many values or more: each of two levels lasts at least NIGHTS_LEAST."""


@dataclass(frozen=True, slots=True)
class Level:
    """Hold the geometric mean of a cell's trials with its interval, in the unit of the values.

    `low` and `high` are None with fewer than two trials. `set_aside` counts far trials that the mean leaves out.
    """

    value: float
    low: float | None
    high: float | None
    set_aside: int


def levels(cells: Sequence[Sequence[float]], confidence: float = CONFIDENCE) -> list[Level | None]:
    """Return the level of each cell of one series, one value per trial. None: a value is not above zero, or none is.

    What noise is usual comes from all cells together, as a comparison learns it from the cells of a device.
    """
    places = [place for place, values in enumerate(cells) if usable(values)]
    found: list[Level | None] = [None] * len(cells)
    for place, level in zip(places, _levels([cells[place] for place in places], confidence), strict=True):
        found[place] = level
    return found


def _levels(cells: Sequence[Sequence[float]], confidence: float) -> list[Level]:
    if not cells:
        return []
    known = cells_of(cells, [""] * len(cells))
    located = known.located
    floor = rounding_variance(np.minimum(np.maximum(resolution(known.rows), known.unit), GRID_MAX))
    with np.errstate(invalid="ignore", divide="ignore"):
        own = np.maximum(located.variance, floor) / located.kept
        prior = known.prior_variance / located.kept
        own_freedom: Floats = np.asarray(located.kept - 1.0, dtype=np.float64)
        # As in a comparison: a cell far noisier than the others is judged by its own trials alone.
        weight = np.where(
            located.unruly | disagree(own, own_freedom, prior, known.prior_freedom), 0.0, known.prior_freedom
        )
        freedom = own_freedom + weight
        error = np.sqrt((own_freedom * own + weight * prior) / freedom)
        half = scipy.special.stdtrit(freedom, 0.5 + confidence / 2) * error
    aside = np.count_nonzero(located.set_aside, axis=1)
    numbers = zip(located.centre.tolist(), half.tolist(), located.kept.tolist(), aside.tolist(), strict=True)
    return [_level(*row) for row in numbers]


def _level(centre: float, half: float, kept: int, set_aside: int) -> Level:
    value = math.exp(centre)
    if kept < 2 or not math.isfinite(half) or half > _WIDEST:
        return Level(value, None, None, set_aside)
    return Level(value, math.exp(centre - half), math.exp(centre + half), set_aside)


_WIDEST = 300.0
"""An interval of two wild trials may lie beyond all numbers."""


def steps_of(values: Sequence[float | None], min_effect: float) -> tuple[Step, ...]:
    """Return the steps of one series of values, None for a run without a value. None is sought below STEPS_FROM.

    The change is that of the values as they are: the search cuts off spikes, and a level of few values at an end of the
    series is half a spike to it.
    """
    if sum(value is not None for value in values) < STEPS_FROM:
        return ()
    row: Floats = np.array([[math.nan if value is None else math.log(value) for value in values]])
    found = find_steps(row, min_effect)[0]
    edges = [0, *(step.night for step in found), len(values)]
    return tuple(replace(step, change=_change(row[0], *edges[place : place + 3])) for place, step in enumerate(found))


def _change(row: Floats, first: int, night: int, last: int) -> float:
    before, after = row[max(first, night - SIDE_MAX) : night], row[night : min(last, night + SIDE_MAX)]
    return float(np.nanmedian(after) - np.nanmedian(before))
