"""Estimate the difference between two sides' cells on the logarithmic scale, for many pairs at once.

The method is Welch's t with the variance shrunk to the prior of the device. docs/decisions/0022 has the alternatives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.special

from orchestrator.analysis.location import TIE, Bools, Cells, Floats, Ints, Located, resolution, rounding_variance
from orchestrator.domain.policy import VERDICT_LEVEL

POWER = 0.8
DISAGREEMENT_LEVEL = 0.001
"""Below this probability of the trials' own noise, the prior is not used."""
GRID_MAX = 0.05
"""The coarsest step, as a logarithm, that values are thought to be rounded to."""
_HUMP_NOISES, _HUMP_SHARE = 5.0, 0.1


@dataclass(frozen=True, slots=True)
class Differences:
    """Hold the differences of pairs, other minus base, an entry per pair.

    `error` is the standard error of `estimate`, with `freedom` degrees of freedom. All three are NaN where a side has
    fewer than two trials. `separate`: every trial of a side lies beyond every trial of the other side.
    `unruly`: a side has more trials far off than the side can spare. No trial is then set aside, and no prior is used.
    """

    base: Located
    other: Located
    estimate: Floats
    error: Floats
    freedom: Floats
    unruly: Bools
    separate: Bools

    def p_values(self) -> Floats:
        """Return the two-sided p-value of each difference: 1 where neither difference nor error is above 0."""
        # The lower tail: 1 minus the upper one would round a small p-value to 0.
        chances: Floats = 2 * scipy.special.stdtr(self.freedom, -_quotient(np.abs(self.estimate), self.error))
        return chances

    def p_equivalent(self, margin: float) -> Floats:
        """Return the p-value of each pair's equivalence: the larger of two one-sided tests at plus and minus `margin`.

        `margin` is a logarithm. Source: Schuirmann (1987).
        """
        chances: Floats = scipy.special.stdtr(self.freedom, -_quotient(margin - np.abs(self.estimate), self.error))
        return chances

    def half_widths(self, confidence: float) -> Floats:
        """Return half the width of each interval."""
        widths: Floats = scipy.special.stdtrit(self.freedom, 0.5 + confidence / 2) * self.error
        return widths

    def detectable(self, level: float) -> Floats:
        """Return the difference found by a test at `level` with a probability of POWER, given the error seen."""
        quantiles = scipy.special.stdtrit(self.freedom, 1 - level / 2) + scipy.special.stdtrit(self.freedom, POWER)
        found: Floats = quantiles * self.error
        return found


def differences(base: Cells, other: Cells) -> Differences:
    """Estimate the difference of each pair: the cells of `base` and `other`, in the same order.

    The resolution of both sides' values together is a floor of the noise: two tied sides have a known difference
    only as far as the grid of the values is fine. A grid coarser than GRID_MAX is taken for a difference.
    """
    step = np.minimum(resolution(np.concatenate([base.rows, other.rows], axis=1)), GRID_MAX)
    floor = rounding_variance(np.maximum(step, np.minimum(base.unit, other.unit)))
    unruly = base.located.unruly | other.located.unruly
    unruly = unruly | _two_humps(base, other, _errors(base, other, floor, unruly)[0])
    base, other = _whole(base, unruly), _whole(other, unruly)
    error, freedom = _errors(base, other, floor, unruly)
    estimate = other.located.centre - base.located.centre
    few = (base.located.kept < 2) | (other.located.kept < 2)
    return Differences(
        base.located,
        other.located,
        # Equal values have means that differ by rounding, and a difference of 0 must be 0.
        np.where(np.abs(estimate) > TIE, estimate, 0.0),
        np.where(few, np.nan, error),
        np.where(few, np.nan, freedom),
        unruly & ~few,
        _separate(base.rows, other.rows),
    )


def _whole(cells: Cells, unruly: Bools) -> Cells:
    """Return the cells. Cells of unruly pairs have all trials."""
    rows, located = cells.rows, cells.located
    if not (unruly & (located.kept < located.trials)).any():
        return cells
    with np.errstate(invalid="ignore"):
        centre = np.where(unruly, np.nanmean(rows, axis=1), located.centre)
        variance = np.where(unruly, np.nanvar(rows, axis=1, ddof=1), located.variance)
    kept = np.where(unruly, located.trials, located.kept)
    set_aside = located.set_aside & ~unruly[:, None]
    return replace(cells, located=Located(located.trials, kept, centre, variance, set_aside, located.unruly))


def _errors(base: Cells, other: Cells, floor: Floats, unruly: Bools) -> tuple[Floats, Floats]:
    """Return each pair's standard error with its degrees of freedom. Unruly pairs use no prior."""
    sides = (base.located, other.located)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = [np.maximum(side.variance, floor) / side.kept for side in sides]
        own = shares[0] + shares[1]
        parts = [(share / own) ** 2 / (side.kept - 1) for share, side in zip(shares, sides, strict=True)]
        # Welch and Satterthwaite, whose quotient has no value where neither side has any noise.
        own_freedom = np.where(own > 0, 1 / (parts[0] + parts[1]), sides[0].kept + sides[1].kept - 2.0)
        known = base.prior_variance / base.located.kept + other.prior_variance / other.located.kept
        # The two sides may be of two devices: the pair is known no better than the less known side.
        weight = np.minimum(base.prior_freedom, other.prior_freedom)
        weight = np.where(unruly | disagree(own, own_freedom, known, weight), 0.0, weight)
        freedom = own_freedom + weight
        return np.sqrt((own_freedom * own + weight * known) / freedom), freedom


def _two_humps(base: Cells, other: Cells, error: Floats) -> Bools:
    """Return where two levels shared by both sides explain the difference, and chance how often each level was taken.

    A trial set aside on its own side and at home on the other side shows such levels. A single trial of five on the
    upper level against five of five is then no evidence, and a single trial of twenty against all of twenty is.
    """
    sides = (base, other)
    with np.errstate(invalid="ignore", divide="ignore"):
        trial_noise = error / np.sqrt(1 / base.located.kept + 1 / other.located.kept)
        apart = np.abs(other.located.centre - base.located.centre)
        reach = np.fmax(_HUMP_NOISES * trial_noise, _HUMP_SHARE * apart)
        across = (
            _at_home(base, other.located.centre, reach),
            _at_home(other, base.located.centre, reach),
        )
    trials = [side.located.trials for side in sides]
    upper = (across[0], trials[1] - across[1])
    chance = _chance_of_table(upper[0], trials[0], upper[1], trials[1])
    found: Bools = (across[0] + across[1] > 0) & (2 * chance > VERDICT_LEVEL)
    return found


def _at_home(side: Cells, centre: Floats, reach: Floats) -> Ints:
    """Count the trials set aside near the other side's centre."""
    near = np.abs(side.rows - centre[:, None]) <= reach[:, None]
    return np.asarray(np.count_nonzero(side.located.set_aside & near, axis=1), dtype=np.int64)


def _chance_of_table(hits: Ints, trials: Ints, other_hits: Ints, other_trials: Ints) -> Floats:
    """Return the hypergeometric probability of two counts, given their sum: the largest term of Fisher's exact test."""

    def choose(total: Ints, part: Ints) -> Floats:
        # In logarithms, since the factorial of 171 exceeds a float.
        ways: Floats = scipy.special.gammaln(total + 1) - scipy.special.gammaln(part + 1)
        return np.asarray(ways - scipy.special.gammaln(total - part + 1))

    separate = choose(trials, hits) + choose(other_trials, other_hits)
    chance: Floats = np.exp(separate - choose(trials + other_trials, hits + other_hits))
    return chance


def disagree(own: Floats, own_freedom: Floats, known: Floats, weight: Floats) -> Bools:
    """Return where the trials are far noisier than the prior allows: such a cell is judged by its own trials alone."""
    with np.errstate(invalid="ignore", divide="ignore"):
        excess = scipy.special.fdtrc(own_freedom, weight, own / known)
    noisier: Bools = (weight > 0) & (known > 0) & (excess < DISAGREEMENT_LEVEL)
    return noisier


def _separate(base: Floats, other: Floats) -> Bools:
    with np.errstate(invalid="ignore"):
        above = np.fmin.reduce(other, axis=1) > np.fmax.reduce(base, axis=1)
        below = np.fmax.reduce(other, axis=1) < np.fmin.reduce(base, axis=1)
    apart: Bools = above | below
    return apart


def _quotient(difference: Floats, error: Floats) -> Floats:
    """Return difference / error, 0 where both are 0: equal values without spread do not differ."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((error == 0) & (difference == 0), 0.0, difference / error)
