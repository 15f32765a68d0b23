"""Look at tonight's values for the first time: against each cell's nights, or against the baseline's trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.analysis import nightly
from orchestrator.analysis.difference import differences
from orchestrator.analysis.location import Bools, Floats, Ints, cells_of_rows, locate, locate_alike, resolution
from orchestrator.analysis.nights.subjects import Subject, Tonight
from orchestrator.analysis.stopping import own_history

EARLY_LEVEL = 0.01
"""The p-value of a suspicion against the baseline's trials alone, where there are too few nights for a history."""
_WORSE_ERRORS = 3.0
"""An acknowledged regression is measured again beyond so many errors: every night asks, and few ask by chance."""
_VARIANCE_LEAST = 1e-10
"""A series without any scatter is no more certain than this: 0.001 %."""


@dataclass(frozen=True, slots=True)
class FirstLook:
    """Hold tonight's values and suspicions, an entry per subject.

    `noise` is the usual variance of a trial, and `weight` the weight of that knowledge, in degrees of freedom.
    `value` is without `drift`. `side` is +1 where the value looks larger, -1 where smaller, 0 where nothing is
    suspected. `by_history`: the cell has nights enough. `strength` orders suspects. `may_be_fixed`: an open regression
    seems to be gone, and `change` is the confirmed change. `may_be_worse`: an acknowledged regression seems to have
    grown.
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
    strength: Floats
    may_be_fixed: Bools
    may_be_worse: Bools
    change: Floats

    @property
    def moved(self) -> Bools:
        """Return where an open regression seems to have changed."""
        return self.may_be_fixed | self.may_be_worse


def rows_of(trials: Sequence[Sequence[float]]) -> Floats:
    """Return trials, already logarithms, as rows padded with NaN."""
    # A column at least: a row without any value is a row all the same.
    rows = np.full((len(trials), max(1, *(len(one) for one in trials)) if trials else 1), np.nan)
    for row, values in zip(rows, trials, strict=True):
        row[: len(values)] = values
    return rows


def look_first(judged: Sequence[Subject], tonight: Tonight) -> FirstLook:
    """Return tonight's values and suspicions. Every subject must have a trial."""
    rows = rows_of([tonight.first[one.key] for one in judged])
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
    early, early_strength = _early(judged, (rows, noise, weight))
    side = np.where(by_history, side, early)
    strength = np.where(by_history, strength, early_strength)
    usual = np.fmax(np.nan_to_num(expected.scale), np.sqrt(noise / trials))
    change, fixed, worse = _opened(judged, raw, usual)
    for place, one in enumerate(judged):
        # An open regression is not found once more, and a series in quarantine is not judged.
        if one.opened is not None or one.quarantine is not None:
            side[place] = 0
    return FirstLook(
        rows, trials, noise, weight, value, variance, unruly, drift, expected, threshold, by_history, side,
        np.where(fixed | worse, np.inf, strength), fixed, worse, change,
    )  # fmt: skip


def _noise(judged: Sequence[Subject], rows: Floats) -> tuple[Floats, Floats]:
    """Return each cell's usual variance of a trial, and how much is known of the variance.

    A cell with a history knows by itself. Others learn from tonight's cells of the device and metric.
    """
    noise, weight = np.zeros(len(judged)), np.zeros(len(judged))
    alike: dict[tuple[str, str], list[int]] = {}
    for place, one in enumerate(judged):
        own = own_history(one.variances[-nightly.WINDOW :], one.freedoms[-nightly.WINDOW :])
        noise[place], weight[place] = own.variance, min(own.freedom, nightly.HISTORY_FREEDOM)
        if len(one.variances) >= nightly.NIGHTS_MIN and own.freedom:
            weight[place] = nightly.HISTORY_FREEDOM
        alike.setdefault((one.key.device, one.key.metric), []).append(place)
    for places in alike.values():
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


def _early(judged: Sequence[Subject], measured: tuple[Floats, Floats, Floats]) -> tuple[Ints, Floats]:
    """Return the suspected side against the baseline's trials alone, with the difference in standard errors."""
    side, strength = np.zeros(len(judged), dtype=np.int64), np.zeros(len(judged))
    base = rows_of([one.baseline.trials if one.baseline is not None else () for one in judged])
    known = np.flatnonzero(~np.isnan(base).all(axis=1))
    if not len(known):
        return side, strength
    rows, noise, weight = (of_all[known] for of_all in measured)
    found = differences(cells_of_rows(base[known], noise, weight), cells_of_rows(rows, noise, weight))
    least = np.array([np.log1p(judged[int(place)].min_effect) for place in known])
    with np.errstate(invalid="ignore", divide="ignore"):
        suspected = (found.p_values() <= EARLY_LEVEL) & (np.abs(found.estimate) >= least)
        # Finite: infinity puts open regressions before all suspicions.
        strength[known] = np.abs(np.nan_to_num(found.estimate / found.error, posinf=1e9, neginf=-1e9))
    side[known] = np.where(suspected, np.sign(np.nan_to_num(found.estimate)), 0)
    return side, strength


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
