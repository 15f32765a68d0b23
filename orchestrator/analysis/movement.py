"""Learn from cells that did not change how far a device itself has moved between two runs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import scipy.special

from orchestrator.analysis.ratio import RatioEstimate

MOVED_LEVEL = 0.01
"""The largest p-value of a cell that has moved. Higher than a verdict's: one missed would be blamed on a build."""
EXPLAINED_LEVEL = 0.01
"""A difference less likely than this under the device's movement is more than the movement."""
MOVED_SHARE = 0.25
"""A device has moved if so many of its unchanged cells have: a single jumpy cell of many is a cell's own matter."""
_FREEDOM_BEYOND_CELLS = 2
_CELLS_AGREEING = 3


@dataclass(frozen=True, slots=True)
class Movement:
    """Hold the movement of a device between two runs: mean and spread of logarithms over its unchanged cells.

    `moved` of all `cells` clearly differ.
    """

    shift: float
    spread: float
    cells: int
    moved: int

    @property
    def factor(self) -> float:
        """Return the mean movement as a ratio, other over base."""
        return math.exp(self.shift)

    def explains(self, estimate: RatioEstimate) -> bool:
        """Return True if a cell without any change of its own could differ as much as the estimate says."""
        error = math.hypot(estimate.error or 0.0, self.spread)
        size = abs(math.log(estimate.ratio) - self.shift) / error
        return float(2 * scipy.special.stdtr(self.cells + _FREEDOM_BEYOND_CELLS, -size)) > EXPLAINED_LEVEL


def movement_of(unchanged: Sequence[RatioEstimate], min_effect: float) -> Movement | None:
    """Return the movement that the unchanged cells of a device show, or None if the device has not moved.

    Cells with fewer than two trials on a side, and unruly ones, show nothing.
    """
    shown = [one for one in unchanged if one.error is not None and not one.unruly]
    margin = math.log1p(min_effect)
    moved = sum(_has_moved(one, margin) for one in shown)
    if not moved or moved < MOVED_SHARE * len(shown):
        return None
    logs = [math.log(one.ratio) for one in shown]
    shift, count = statistics.fmean(logs), len(logs)
    observed = statistics.stdev(logs) * math.sqrt(1 + 1 / count) if count > 1 else 0.0
    # What slows one kernel by a quarter slows another by a fifth or a third: few cells that agree by chance are no
    # proof of the contrary.
    least = max(abs(one) for one in logs) / min(count + 1, _CELLS_AGREEING)
    return Movement(shift, max(observed, least), count, moved)


def _has_moved(estimate: RatioEstimate, margin: float) -> bool:
    difference = abs(math.log(estimate.ratio))
    # A margin of 0 would count an exact tie.
    return estimate.p_value is not None and estimate.p_value <= MOVED_LEVEL and difference >= margin and difference > 0
