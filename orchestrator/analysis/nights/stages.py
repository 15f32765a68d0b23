"""Decide the next step of a night, purely: from knowledge and measurements to an order or to verdicts.

An interrupted night asks again with the trials on record, and comes to the same point.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.analysis import nightly
from orchestrator.analysis.location import Bools, Floats, Ints, padded
from orchestrator.analysis.nights.conclusions import Judged, Outcome, conclude
from orchestrator.analysis.nights.first import FirstLook, look_first
from orchestrator.analysis.nights.subjects import CellKey, Finding, Key, Order, Subject, Terms, Tonight
from orchestrator.domain.night import NightStage

CONFIRMATION_UNITS = 12.0
"""What the confirmation of one cell takes at most, in plain nights of the cell: 30 trials a side, of 5 a night."""


@dataclass(frozen=True, slots=True)
class Looked:
    """Hold the subjects with a value tonight, and the first look at these values."""

    judged: Sequence[Subject]
    first: FirstLook


def looked_at(subjects: Sequence[Subject], tonight: Tonight) -> Looked:
    """Look at tonight's values for the first time: once a night, because no later stage changes them."""
    judged = [one for one in subjects if tonight.first.get(one.key)]
    return Looked(judged, look_first(judged, tonight))


def advance(looked: Looked, tonight: Tonight, terms: Terms) -> Order | Mapping[Key, Finding]:
    """Return the next measurement, or the conclusion on each subject with a value tonight.

    The conclusion leaves out subjects without a value: missing cells need no statistics.
    """
    judged, first = looked.judged, looked.first
    if not judged:
        return {}
    spent = np.zeros(len(judged))
    again = _second_cells(judged, first)
    if again and tonight.second is None:
        return Order(NightStage.SECOND_LOOK, again, _trials(judged, first, again))
    side, lost = _after_second(judged, first, tonight, spent)
    reruns = _Reruns(judged, first, side, terms)
    for look in range(_looks(terms)):
        cells = reruns.affordable(look, spent)
        if not cells:
            break
        if look >= len(tonight.looks):
            metrics = {cell: judged[place].key.metric for cell, place in reruns.leading.items() if cell in cells}
            return Order(NightStage.CONFIRMATION, cells, _more(look), look, metrics)
        reruns.take(look, tonight.looks[look], cells, spent)
    return conclude(judged, first, Judged(side, lost, spent, reruns.outcome()), terms)


def _second_cells(judged: Sequence[Subject], first: FirstLook) -> frozenset[CellKey]:
    return frozenset(one.key.cell for one, is_due in zip(judged, first.again, strict=True) if is_due)


def _trials(judged: Sequence[Subject], first: FirstLook, cells: frozenset[CellKey]) -> int:
    """Return the number of trials of a second look, which most chance suspicions do not outlive."""
    most = max(int(count) for one, count in zip(judged, first.trials, strict=True) if one.key.cell in cells)
    return math.ceil(nightly.SECOND_LOOK_SHARE * most)


def _after_second(judged: Sequence[Subject], first: FirstLook, tonight: Tonight, spent: Floats) -> tuple[Ints, Bools]:
    """Return the suspected side of each subject after the second look, and where the second look has no value."""
    side, lost = first.side.copy(), np.zeros(len(judged), dtype=bool)
    if tonight.second is None:
        return side, lost
    rows = padded([tonight.second.get(one.key, ()) for one in judged])
    measured = ~np.isnan(rows).all(axis=1)
    trials = np.count_nonzero(~np.isnan(rows), axis=1)
    spent[measured] += trials[measured] / first.trials[measured]
    asked = np.flatnonzero(first.again & measured)
    value, _ = nightly.night_value(rows[asked], first.noise[asked], first.weight[asked])
    kept = nightly.stands(first.level[asked], first.error[asked], value - first.drift[asked], side[asked])
    side[asked[~kept]] = 0
    return side, first.again & ~measured


def _looks(terms: Terms) -> int:
    return sum(count <= terms.trials_most for count in nightly.LOOKS)


def _more(look: int) -> int:
    """Return how many trials a side a look adds to earlier looks."""
    return nightly.LOOKS[look] - (nightly.LOOKS[look - 1] if look else 0)


class _Reruns:
    """Take suspects through the looks of the confirmation, within the bound of each device's extra time."""

    def __init__(self, judged: Sequence[Subject], first: FirstLook, side: Ints, terms: Terms) -> None:
        self._judged, self._first, self._terms = judged, first, terms
        wanted = (side != 0) | first.moved
        able = [one.baseline is not None and not one.baseline.identical and not one.baseline.obstacle for one in judged]
        worse = np.array([one.worse for one in judged])
        self._side = np.where(first.may_be_fixed, -worse, np.where(first.may_be_worse, worse, side))
        self._waiting = wanted & np.array(able)
        self._confirmed = np.zeros(len(judged), dtype=bool)
        self.leading = self._leading()
        # One baseline is measured beside a cell. A metric with another baseline waits for another night.
        self._unmeasured = self._waiting & ~np.array([self._has_baseline_of_its_cell(one) for one in judged])
        self._waiting &= ~self._unmeasured
        self._given_up = self._confirmed.copy()
        self._rows = np.empty((len(judged), 0)), np.empty((len(judged), 0))
        self._looked = np.zeros(len(judged), dtype=np.int64)
        self._bounds = _bounds(judged, terms)

    def _leading(self) -> Mapping[CellKey, int]:
        """Return the place of each cell's most suspect metric, the same at every look."""
        found: dict[CellKey, int] = {}
        # Stable: an interrupted night must order equal suspects as before.
        for place in np.argsort(-self._first.strength, kind="stable"):
            if self._waiting[place]:
                found.setdefault(self._judged[place].key.cell, int(place))
        return found

    def _has_baseline_of_its_cell(self, one: Subject) -> bool:
        place = self.leading.get(one.key.cell)
        leader = None if place is None else self._judged[place].baseline
        return leader is not None and one.baseline is not None and leader.is_like(one.baseline)

    def affordable(self, look: int, spent: Floats) -> frozenset[CellKey]:
        """Return the cells for a look: the most suspect first, as far as their devices' time goes."""
        used: dict[str, float] = {}
        for cell, units in _by_cell(self._judged, spent).items():
            used[cell.device] = used.get(cell.device, 0.0) + units
        chosen: set[CellKey] = set()
        for place in np.argsort(-self._first.strength, kind="stable"):
            key = self._judged[place].key
            # The bounds of later looks are for cells that took part in every earlier one.
            if not self._waiting[place] or self._looked[place] != look or key.cell in chosen:
                continue
            cost = 2 * _more(look) / self._first.trials[place]
            if used.get(key.device, 0.0) + cost <= self._bounds[key.device]:
                used[key.device] = used.get(key.device, 0.0) + cost
                chosen.add(key.cell)
        return frozenset(chosen)

    def take(
        self,
        look: int,
        found: Mapping[Key, tuple[tuple[float, ...], tuple[float, ...]]],
        cells: frozenset[CellKey],
        spent: Floats,
    ) -> None:
        """Judge the cells of a measured look."""
        looked = np.array([one.key.cell in cells for one in self._judged])
        self._looked[looked & (self._looked == look)] += 1
        both = [found.get(one.key, ((), ())) for one in self._judged]
        fresh = padded([base for base, _ in both]), padded([other for _, other in both])
        self._rows = np.hstack([self._rows[0], fresh[0]]), np.hstack([self._rows[1], fresh[1]])
        has_values = ~np.isnan(fresh[0]).all(axis=1) & ~np.isnan(fresh[1]).all(axis=1)
        spent[looked & has_values] += 2 * _more(look) / self._first.trials[looked & has_values]
        lost = looked & self._waiting & ~has_values
        self._unmeasured |= lost
        self._waiting &= ~lost
        going = np.flatnonzero(looked & self._waiting)
        if len(going):
            self._judge(look, going)

    def _judge(self, look: int, going: Ints) -> None:
        first = self._first
        base, other = self._rows[0][going], self._rows[1][going]
        # A fix is judged against the regressed level: the baseline's trials, moved by the change that was confirmed.
        base = base + np.where(first.moved, first.change, 0.0)[going][:, None]
        least = np.array([np.log1p(self._judged[place].min_effect) for place in going])
        found = nightly.confirm(
            (base, other), first.noise[going], self._side[going], look, least, weight=first.weight[going]
        )
        self._confirmed[going] = found.confirmed
        self._given_up[going] = found.given_up
        self._waiting[going] = ~found.confirmed & ~found.given_up

    def outcome(self) -> Outcome:
        """Return the outcome for each subject."""
        # Whoever has had every look is given up: what is still waiting was beyond the device's time.
        through = self._waiting & (self._looked == _looks(self._terms))
        return Outcome(
            self._confirmed, self._given_up | through, self._waiting & ~through, self._unmeasured, self._rows
        )


def _bounds(judged: Sequence[Subject], terms: Terms) -> Mapping[str, float]:
    """Return the extra time of each device, in plain nights of a cell: always enough to confirm one cell."""
    cells: dict[str, set[CellKey]] = {}
    for one in judged:
        cells.setdefault(one.key.device, set()).add(one.key.cell)
    return {device: max(terms.extra_most * len(found), CONFIRMATION_UNITS) for device, found in cells.items()}


def _by_cell(judged: Sequence[Subject], spent: Floats) -> Mapping[CellKey, float]:
    """Return the extra time of each cell. Metrics of one cell are measured together."""
    found: dict[CellKey, float] = {}
    for place in np.flatnonzero(spent):
        cell = judged[int(place)].key.cell
        found[cell] = max(found.get(cell, 0.0), float(spent[place]))
    return found
