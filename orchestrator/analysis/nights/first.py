"""Look at tonight's values for the first time: against each cell's nights, or against the baseline's trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.analysis import nightly
from orchestrator.analysis.location import Bools, Floats, Ints, locate, locate_alike, padded, resolution
from orchestrator.analysis.nights.early import Young, look_early
from orchestrator.analysis.nights.subjects import Subject, Tonight
from orchestrator.analysis.prior import FREEDOM_MAX
from orchestrator.analysis.stopping import own_histories

_WORSE_ERRORS = 3.0
"""An acknowledged regression is measured again beyond so many errors: every night asks, and few ask by chance."""
_VARIANCE_LEAST = 1e-10
"""A series without any scatter is no more certain than this: 0.001 %."""


@dataclass(frozen=True, slots=True)
class FirstLook:
    """Hold tonight's values and suspicions, an entry per subject.

    `noise` is the usual variance of a trial, and `weight` the weight of that knowledge, in degrees of freedom.
    `value` is without `drift`. `side` is +1 where the value looks larger, -1 where smaller, 0 where nothing is
    suspected. `by_history`: the cell has nights enough. `again`: a second look is due, and compares with `level` by the
    standard `error`. `strength` orders suspects. `may_be_fixed`: an open regression seems to be gone, and `change` is
    the confirmed change. `may_be_worse`: an acknowledged regression seems to have grown.
    """

    rows: Floats
    trials: Ints
    noise: Floats
    weight: Floats
    value: Floats
    variance: Floats
    unruly: Bools
    drift: Floats
    expected: nightly.Expectation
    threshold: Floats
    by_history: Bools
    side: Ints
    again: Bools
    level: Floats
    error: Floats
    strength: Floats
    may_be_fixed: Bools
    may_be_worse: Bools
    change: Floats

    @property
    def moved(self) -> Bools:
        """Return where an open regression seems to have changed."""
        return self.may_be_fixed | self.may_be_worse


def look_first(judged: Sequence[Subject], tonight: Tonight) -> FirstLook:
    """Return tonight's values and suspicions. Every subject must have a trial."""
    rows = padded([tonight.first[one.key] for one in judged])
    noise, weight = _noise(judged, rows)
    raw, variance = nightly.night_value(rows, noise, weight)
    unruly = locate(rows, noise, weight, resolution(rows)).unruly
    drift = np.array([tonight.drift.get((one.key.device, one.key.metric), 0.0) for one in judged])
    value, trials = raw - drift, np.count_nonzero(~np.isnan(rows), axis=1)
    history = _history(judged)
    expected = nightly.expect(history, np.sqrt(noise / trials))
    threshold = np.array(
        [nightly.THRESHOLD_START if one.threshold is None else one.threshold for one in judged], dtype=np.float64
    )
    by_history = ~np.isnan(expected.value)
    side = np.where(by_history, nightly.first_look(expected, history, value, threshold), 0)
    # What is far below the smallest change that counts cannot be confirmed: a rerun would be in vain.
    half = np.array([np.log1p(one.min_effect) / 2 for one in judged])
    with np.errstate(invalid="ignore"):
        side[np.abs(value - expected.median) < half] = 0
        strength = np.abs(np.nan_to_num((value - expected.value) / expected.scale))
    young = np.flatnonzero(~by_history)
    cells = [judged[int(place)] for place in young]
    known = rows[young], noise[young], weight[young], value[young], drift[young]
    early = look_early(Young(cells, *known, history[young, -nightly.WINDOW :], threshold[young]))
    side[young], strength[young] = early.side, early.strength
    level, error = expected.value.copy(), expected.scale.copy()
    level[young], error[young] = early.level, early.error
    usual = np.fmax(np.nan_to_num(expected.scale), np.sqrt(noise / trials))
    change, fixed, worse = _opened(judged, raw, usual)
    for place, one in enumerate(judged):
        # An open regression is not found once more, and a series in quarantine is not judged.
        if one.opened is not None or one.quarantine is not None:
            side[place] = 0
    again = np.where(by_history, nightly.second_look_due(expected, side), (side != 0) & (error > 0))
    return FirstLook(
        rows, trials, noise, weight, value, variance, unruly, drift, expected, threshold, by_history, side,
        again, level, error, np.where(fixed | worse, np.inf, strength), fixed, worse, change,
    )  # fmt: skip


def _noise(judged: Sequence[Subject], rows: Floats) -> tuple[Floats, Floats]:
    """Return each cell's usual variance of a trial, and how much is known of the variance.

    A cell with a history knows by itself. Others learn from tonight's cells of the device and metric.
    """
    variances = padded([one.variances[-nightly.WINDOW :] for one in judged])
    freedoms = padded([one.freedoms[-nightly.WINDOW :] for one in judged])
    noise, weight = own_histories(variances, freedoms)
    weight = np.minimum(weight, nightly.HISTORY_FREEDOM)
    long = np.array([len(one.variances) >= nightly.NIGHTS_MIN for one in judged], dtype=bool)
    weight = np.where(long & (weight > 0), nightly.HISTORY_FREEDOM, weight)
    alike: dict[tuple[str, str], list[int]] = {}
    for place, one in enumerate(judged):
        alike.setdefault((one.key.device, one.key.metric), []).append(place)
    for places in alike.values():
        if weight[places].min() >= FREEDOM_MAX:
            continue  # no prior of the device weighs more than what each cell knows of itself
        _, prior = locate_alike(rows[places], resolution(rows[places]))
        for place in places:
            if weight[place] < prior.freedom:
                noise[place], weight[place] = prior.variance, prior.freedom
    return np.maximum(noise, _VARIANCE_LEAST), weight


def _history(judged: Sequence[Subject]) -> Floats:
    """Return the nights before as rows, the last night in the last column."""
    nights = max((len(one.history) for one in judged), default=0)
    history = np.full((len(judged), nights), np.nan)
    for row, one in zip(history, judged, strict=True):
        if one.history:
            row[nights - len(one.history) :] = one.history
    return history


def _opened(judged: Sequence[Subject], raw: Floats, usual: Floats) -> tuple[Floats, Bools, Bools]:
    """Return the change of each open regression, where the regression may be fixed, and where more than acknowledged.

    Fixed: tonight is nearer to the baseline. More: by the smallest change that counts, and beyond `usual` errors.
    """
    change, fixed, worse = np.zeros(len(judged)), np.zeros(len(judged), dtype=bool), np.zeros(len(judged), dtype=bool)
    for place, one in enumerate(judged):
        if one.opened is None or one.opened.change is None or one.baseline is None or not one.baseline.trials:
            continue
        change[place] = one.opened.change
        moved = raw[place] - float(np.median(one.baseline.trials))
        fixed[place] = moved * np.sign(change[place]) < abs(change[place]) / 2
        more = moved * np.sign(change[place]) - abs(change[place])
        worse[place] = one.opened.known and more >= max(np.log1p(one.min_effect), _WORSE_ERRORS * usual[place])
    return change, fixed, worse
