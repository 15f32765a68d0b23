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
EXPLAINED_MAX = 2.0
"""A difference larger than so many movements is never the device's, however unlike its cells have moved."""
_FREEDOM_BEYOND_CELLS = 2
_CELLS_AGREEING = 3


@dataclass(frozen=True, slots=True)
class Movement:
    """Hold the movement of a device between two runs: median and spread of logarithms over its unchanged cells.

    `moved` of all `cells` clearly differ. `size` is the median of their distances, and `is_common` says that most cells
    moved the same way.
    """

    shift: float
    spread: float
    cells: int
    moved: int
    size: float
    is_common: bool

    @property
    def factor(self) -> float:
        """Return the median movement as a ratio, other over base."""
        return math.exp(self.shift)

    def explains(self, estimate: RatioEstimate) -> bool:
        """Return True if a cell without a change of its own could differ as much as the estimate says."""
        difference = math.log(estimate.ratio)
        if abs(difference) > EXPLAINED_MAX * self.size or (self.is_common and difference * self.shift <= 0):
            return False
        if self.is_common and abs(difference) <= abs(self.shift):
            # What is left of the movement points the other way: the build did not do what its figures say.
            return True
        error = math.hypot(estimate.error or 0.0, self.spread)
        size = abs(difference - self.shift) / error
        return float(2 * scipy.special.stdtr(self.cells + _FREEDOM_BEYOND_CELLS, -size)) > EXPLAINED_LEVEL


def movement_of(unchanged: Sequence[RatioEstimate], min_effect: float) -> Movement | None:
    """Return the movement that the unchanged cells of a device show, or None if the device has not moved.

    Most of them have to have moved: the jumpy cell of a few is that cell's own matter, and would hide what builds do.
    Cells with fewer than two trials on a side, and unruly ones, show nothing.
    """
    shown = [one for one in unchanged if one.error is not None and not one.unruly]
    margin = math.log1p(min_effect)
    logs = [math.log(one.ratio) for one in shown]
    slower = [change > 0 for one, change in zip(shown, logs, strict=True) if _has_moved(one, margin)]
    moved, count = len(slower), len(logs)
    if 2 * moved <= count:
        return None
    is_common = 2 * max(sum(slower), moved - sum(slower)) > count
    shift = statistics.median(logs)
    observed = statistics.stdev(logs) * math.sqrt(1 + 1 / count) if count > 1 else 0.0
    # What slows one kernel by a quarter slows another by a fifth or a third: few cells that agree by chance are no
    # proof of the contrary.
    least = max(abs(one) for one in logs) / min(count + 1, _CELLS_AGREEING)
    size = statistics.median(map(abs, logs))
    return Movement(shift, max(observed, least), count, moved, size, is_common)


def _has_moved(estimate: RatioEstimate, margin: float) -> bool:
    difference = abs(math.log(estimate.ratio))
    # A margin of 0 would count an exact tie.
    return estimate.p_value is not None and estimate.p_value <= MOVED_LEVEL and difference >= margin and difference > 0
