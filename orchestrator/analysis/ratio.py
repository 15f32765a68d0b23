"""Estimate ratios of two sides' trial values, each with a confidence interval over trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.special

from orchestrator.analysis.difference import POWER, differences
from orchestrator.analysis.location import Cells, Floats, Located, cells_of, cells_of_rows
from orchestrator.analysis.prior import NOTHING_KNOWN, Prior
from orchestrator.domain.policy import CONFIDENCE


@dataclass(frozen=True, slots=True)
class Spread:
    """Describe a side on the logarithmic scale.

    `n` is the number of trials. `log_mean` and `log_variance` are mean and sample variance of the natural logarithms,
    without trials set aside. `log_variance` is None for one trial. `set_aside` holds each such trial's
    value as a multiple of the side's centre.
    """

    n: int
    log_mean: float
    log_variance: float | None
    set_aside: tuple[float, ...] = ()

    @property
    def centre(self) -> float:
        """Return the geometric mean of the trial values, without trials set aside."""
        return math.exp(self.log_mean)

    @property
    def kept(self) -> int:
        """Return how many trials the centre is of."""
        return self.n - len(self.set_aside)


@dataclass(frozen=True, slots=True)
class RatioEstimate:
    """Hold the ratio of geometric means, other over base, with interval and p-value.

    `error` is the standard error of the ratio's logarithm, with `freedom` degrees of freedom. Interval, p-value, error
    and freedom are None with fewer than two trials on a side. `unruly`: a side has more trials far off than the side
    can spare. `separate`: every trial of a side lies beyond every trial of the other side.
    """

    base: Spread
    other: Spread
    ratio: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    error: float | None = None
    freedom: float | None = None
    unruly: bool = False
    separate: bool = False

    def p_equivalent(self, min_effect: float) -> float | None:
        """Return the p-value of the equivalence within plus or minus `min_effect`, a relative change."""
        if self.error is None or self.freedom is None:
            return None
        room = math.log1p(min_effect) - abs(math.log(self.ratio))
        # Sides without any noise are known for certain: t would be 0 / 0.
        if self.error == 0:
            return 0.0 if room > 0 else 1.0
        return float(scipy.special.stdtr(self.freedom, -room / self.error))

    def detectable(self, level: float) -> float | None:
        """Return the relative change for a test at `level` to find with a probability of POWER."""
        if self.error is None or self.freedom is None:
            return None
        quantiles = scipy.special.stdtrit(self.freedom, np.array([1 - level / 2, POWER]))
        return math.expm1(min(float(quantiles.sum()) * self.error, _LARGEST))


_LARGEST = 700.0
"""The largest logarithm whose power of e a float can hold: the interval of two wild trials may lie beyond."""


def usable(values: Sequence[float]) -> bool:
    """Return True if a ratio of the values has a meaning: at least one value, all finite, all above zero."""
    return len(values) > 0 and all(map(math.isfinite, values)) and min(values) > 0


def measured(
    values: Sequence[Sequence[float]], devices: Sequence[str], priors: Mapping[str, Prior] | None = None
) -> Cells:
    """Locate cells, given a value per trial and the device of each cell.

    Cells of a device and metric tell the usual noise there, unless `priors` has a prior of the device. Raise
    ValueError unless all values are `usable`.
    """
    if not all(usable(cell) for cell in values):
        raise ValueError("a ratio needs positive, finite trial values")
    return cells_of(values, devices, priors)


def spreads(cells: Cells) -> list[Spread]:
    """Summarise each cell."""
    return _spreads(cells.located, cells.rows)


def ratios(cells: Cells, pairs: Sequence[tuple[int, int]], confidence: float = CONFIDENCE) -> list[RatioEstimate]:
    """Estimate the ratio other / base of many pairs, each a base's and an other's place among the cells.

    `confidence` is the coverage of the interval, between 0 and 1.
    """
    # Without any pair numpy makes one dimension.
    places = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    base, other = cells.at(places[:, 0]), cells.at(places[:, 1])
    found = differences(base, other)
    half_widths, p_values = found.half_widths(confidence), found.p_values()
    sides = zip(_spreads(found.base, base.rows), _spreads(found.other, other.rows), strict=True)
    numbers = np.column_stack([found.estimate, half_widths, p_values, found.error, found.freedom]).tolist()
    flags = zip(found.unruly.tolist(), found.separate.tolist(), strict=True)
    return [_estimate(*row) for row in zip(sides, numbers, flags, strict=True)]


def ratio_of_trials(
    base_values: Sequence[float],
    other_values: Sequence[float],
    prior: Prior = NOTHING_KNOWN,
    confidence: float = CONFIDENCE,
) -> RatioEstimate:
    """Estimate the ratio other / base of a single pair. Raise ValueError unless all values are `usable`."""
    cells = measured([base_values, other_values], ["", ""], {"": prior})
    return ratios(cells, [(0, 1)], confidence)[0]


def ratios_of_rows(base: Floats, other: Floats, prior_variance: Floats, prior_freedom: Floats) -> list[RatioEstimate]:
    """Estimate the ratio other / base of each pair of rows, logarithms padded with NaN, each pair with its own prior.

    All pairs at once: one by one, each would cost as much as many.
    """
    if not len(base):
        return []
    columns = max(base.shape[1], other.shape[1])
    rows = np.full((2 * len(base), columns), np.nan)
    rows[: len(base), : base.shape[1]], rows[len(base) :, : other.shape[1]] = base, other
    cells = cells_of_rows(rows, np.tile(prior_variance, 2), np.tile(prior_freedom, 2))
    return ratios(cells, [(place, len(base) + place) for place in range(len(base))])


def _estimate(sides: tuple[Spread, Spread], numbers: Sequence[float], flags: tuple[bool, bool]) -> RatioEstimate:
    difference, half_width, p_value, error, freedom = numbers
    # A side of one trial says nothing of chance.
    if math.isnan(error):
        return RatioEstimate(*sides, _exp(difference))
    interval = (_exp(difference - half_width), _exp(difference + half_width))
    return RatioEstimate(*sides, _exp(difference), *interval, p_value, error, freedom, *flags)


def _spreads(located: Located, rows: Floats) -> list[Spread]:
    return [_spread(located, rows, index) for index in range(len(rows))]


def _spread(located: Located, rows: Floats, index: int) -> Spread:
    centre, variance = float(located.centre[index]), float(located.variance[index])
    off = rows[index][located.set_aside[index]] - centre
    return Spread(
        int(located.trials[index]),
        centre,
        None if math.isnan(variance) else variance,
        tuple(_exp(float(logarithm)) for logarithm in off),
    )


def _exp(logarithm: float) -> float:
    return math.exp(min(max(logarithm, -_LARGEST), _LARGEST))
