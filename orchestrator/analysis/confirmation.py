"""Tell from interleaved trials of two sides whether the second side is at the first's level, or has moved.

The bounds are the bounds of a night's confirmation, applied to both hypotheses: a bisection must be as sure of a good
candidate as of a bad candidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from orchestrator.analysis import nightly
from orchestrator.analysis.location import Floats
from orchestrator.analysis.prior import Prior
from orchestrator.analysis.ratio import ratio_of_trials, usable
from orchestrator.analysis.stopping import own_history
from orchestrator.domain.regression import Figures

LOOKS = nightly.LOOKS
_VARIANCE_LEAST = 1e-10
"""Trials without any scatter are no more certain than this: 0.001 %."""


class Level(StrEnum):
    """Name where the second side stands. `open` asks for more trials, and at the last look stays open."""

    SAME = "same"
    MOVED = "moved"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class PairOfSides:
    """Hold the trials of two interleaved sides, in the metric's unit."""

    base: tuple[float, ...]
    other: tuple[float, ...]


def usual_noise(trials: Sequence[Sequence[float]]) -> Prior:
    """Return the usual noise of a series, from the values of its trials in each of several runs."""
    logs = [np.log(values) for values in trials if len(values) > 1 and usable(values)]
    return own_history([float(np.var(row, ddof=1)) for row in logs], [float(len(row) - 1) for row in logs])


def level_of(sides: PairOfSides, noise: Prior, change: float, look: int) -> Level:
    """Return where the second side stands at one of the LOOKS. Both sides must be usable.

    `change` is the logarithm of a moved side's ratio. Moved: beyond the look's bound, and well beyond
    half the change. Same: as far from the change, and well below half of the change. A side half way stays open.
    """
    side = 1 if change > 0 else -1
    base, other = (np.log(np.array([values])) for values in (sides.base, sides.other))
    from_good = _confirmation((base, other), noise, side, look, 0.0)
    from_bad = _confirmation((base + change, other), noise, -side, look, 0.0)
    beyond_half = (side * from_good.estimate[0] - abs(change) / 2) / from_good.error[0]
    # Each look is another chance to err about a side half way. The last one decides what the bounds leave no doubt of.
    clear = 1.0 if look == len(LOOKS) - 1 else 2.0
    if from_good.confirmed[0] and beyond_half > clear:
        return Level.MOVED
    return Level.SAME if from_bad.confirmed[0] and beyond_half < -clear else Level.OPEN


def is_moved(sides: PairOfSides, noise: Prior, side: int, look: int, min_effect: float) -> Level:
    """Return whether the second side has moved to a side, by a minimum effect (0.01 is 1 %), whatever the change is.

    Same: the trials so far make a change improbable.
    """
    base, other = (np.log(np.array([values])) for values in (sides.base, sides.other))
    found = _confirmation((base, other), noise, side, look, float(np.log1p(min_effect)))
    if found.confirmed[0]:
        return Level.MOVED
    return Level.SAME if found.given_up[0] else Level.OPEN


def figures_of(sides: PairOfSides, noise: Prior) -> Figures:
    """Return the ratio of the sides, second over first, with its 95 % interval."""
    found = ratio_of_trials(sides.base, sides.other, noise)
    return Figures(found.ratio, found.low, found.high, found.base.n, found.other.n)


def _confirmation(
    rows: tuple[Floats, Floats], noise: Prior, side: int, look: int, least: float
) -> nightly.Confirmation:
    variance = np.array([max(noise.variance, _VARIANCE_LEAST)])
    return nightly.confirm(rows, variance, np.array([side]), look, np.array([least]), weight=np.array([noise.freedom]))
