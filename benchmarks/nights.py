"""Live through nights of many cells by the stages of `benchfleet nightly run`, with drawn trials for answers."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.nightly import WINDOW
from orchestrator.analysis.nights.drift import canary_drift
from orchestrator.analysis.nights.stages import advance, looked_at
from orchestrator.analysis.nights.subjects import BaselineSide, Finding, Key, Order, Subject, Terms, Tonight
from orchestrator.domain.night import NightStage, NightVerdict
from orchestrator.services.nights.history import GOOD, last_good

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TRIALS, CELLS_OF_DEVICE, CANARIES = 5, 30, 3
METRIC, MIN_EFFECT = "latency_ns", 0.01
_CHANGED = (NightVerdict.CONFIRMED, NightVerdict.IMPROVED)
_FREEDOM = TRIALS - 1.0


@dataclass(frozen=True, slots=True)
class Nights:
    """Say how nights scatter.

    `cv` is that of a trial. `spiky` nights have outliers and are disturbed at times. `drift` is the standard deviation
    of a night's own level, in units of `cv`. The share `shared` of the drift's variance is common to a device.
    """

    name: str
    cv: float
    spiky: bool = False
    drift: float = 0.0
    shared: float = 0.0


class World:
    """Draw the trials of many cells, night after night. Thirty cells at a time share a device, and its drift."""

    def __init__(self, nights: Nights, cells: int, random: np.random.Generator) -> None:
        self.nights, self.cells, self.random = nights, cells, random
        self.device = np.arange(cells) // CELLS_OF_DEVICE
        self.own, self.common = np.zeros(cells), np.zeros(self.device[-1] + 1)
        self.level, self.stays = np.zeros(cells), np.zeros(cells, dtype=bool)

    def pass_night(self) -> None:
        """Go on to the next night: drift moves on, and a few nights are disturbed."""
        sd, keep = self.nights.cv * self.nights.drift, 0.6
        fresh = math.sqrt(1 - keep**2) * sd
        self.own = keep * self.own + self.random.normal(0, fresh * math.sqrt(1 - self.nights.shared), self.cells)
        step = self.random.normal(0, fresh * math.sqrt(self.nights.shared), len(self.common))
        self.common = keep * self.common + step
        spike = self.random.random(self.cells) < (0.03 if self.nights.spiky else 0.0)
        self.level = np.where(spike, np.log1p(self.random.uniform(0.08, 0.25, self.cells)), 0.0)
        self.stays = self.random.random(self.cells) < 0.5

    def trials(self, chosen: Ints, count: int, *, later: bool = False) -> Floats:
        """Return the logarithms of trials of tonight. A disturbance is over in half of the cells `later`."""
        night = (self.own + self.common[self.device])[chosen]
        night = night + np.where(self.stays | (not later), self.level, 0.0)[chosen]
        logs = self.random.normal(0, self.nights.cv, (len(chosen), count)) + night[:, None]
        if self.nights.spiky:
            off = self.random.random(logs.shape) < 0.05
            logs = np.where(off, logs + np.log(self.random.uniform(1.1, 1.5, logs.shape)), logs)
        return logs

    def canaries(self) -> Floats:
        """Return tonight's values of three canaries of each device."""
        devices = len(self.common)
        sd = self.nights.cv * self.nights.drift * math.sqrt(1 - self.nights.shared)
        noise = self.random.normal(0, self.nights.cv / math.sqrt(TRIALS), (devices, CANARIES))
        own = self.random.normal(0, sd, (devices, CANARIES))
        return self.common[:, None] + noise + own


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold what a night found, per cell: what the reruns confirmed, either way, and the extra time in plain nights."""

    confirmed: NDArray[np.bool_]
    spent: Floats


class Good(NamedTuple):
    """Hold a night that may be a baseline, and how much slower its build was, as a logarithm."""

    side: BaselineSide
    shift: float


class Fleet:
    """Hold what a database would know of the cells after some nights, and live one night more at a time.

    Each night has another build, of which the bytes differ from the last ones: the most that can be rerun. Whatever is
    confirmed is called invalid in the morning, so that the night counts as any other.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.keys = [Key(f"device-{cell // CELLS_OF_DEVICE}", f"cell-{cell}", METRIC) for cell in range(world.cells)]
        self.places = {key.cell: cell for cell, key in enumerate(self.keys)}
        self.values, self.variances = np.empty((world.cells, 0)), np.empty((world.cells, 0))
        self.begins = np.zeros(world.cells, dtype=np.int64)
        self.thresholds: list[float | None] = [None] * world.cells
        self.good: list[tuple[Good, ...]] = [()] * world.cells
        self.canaries: list[Floats] = []

    def branch(self, random: np.random.Generator) -> Fleet:
        """Return a copy that goes on by other chances."""
        other = copy.copy(self)
        other.world = copy.copy(self.world)
        other.world.random = random
        other.thresholds, other.good = list(self.thresholds), list(self.good)
        other.begins, other.canaries = self.begins.copy(), list(self.canaries)
        return other

    def live(self, shift: Floats) -> Outcome:
        """Live one night. `shift` is how much slower tonight's build of each cell is, as a logarithm."""
        self.world.pass_night()
        rows = self.world.trials(np.arange(self.world.cells), TRIALS) + shift[:, None]
        tonight = Tonight(self._by_key(rows), self._drift())
        looked = looked_at([self._subject(cell) for cell in range(self.world.cells)], tonight)
        while isinstance(step := advance(looked, tonight, Terms()), Order):
            tonight = self._answered(step, tonight, shift)
        return self._remembered(step, tonight, shift)

    def _by_key(self, rows: Floats) -> Mapping[Key, tuple[float, ...]]:
        return {key: tuple(row) for key, row in zip(self.keys, rows.tolist(), strict=True)}

    def _drift(self) -> Mapping[tuple[str, str], float]:
        """Return what the canaries say of each device, and keep tonight's values."""
        found, now = {}, self.world.canaries()
        for device, values in enumerate(now):
            before = [[night[device, place] for night in self.canaries[-WINDOW:]] for place in range(CANARIES)]
            drift, _ = canary_drift(list(zip(before, values.tolist(), strict=True)))
            found[f"device-{device}", METRIC] = drift or 0.0
        self.canaries.append(now)
        return found

    def _subject(self, cell: int) -> Subject:
        begin = max(int(self.begins[cell]), self.values.shape[1] - WINDOW)
        variances = self.variances[cell, begin:]
        return Subject(
            self.keys[cell],
            worse=1,
            min_effect=MIN_EFFECT,
            history=tuple(self.values[cell, begin:].tolist()),
            variances=tuple(variances.tolist()),
            freedoms=(_FREEDOM,) * len(variances),
            threshold=self.thresholds[cell],
            baseline=self._baseline(cell).side if self.good[cell] else None,
        )

    def _baseline(self, cell: int) -> Good:
        good = self.good[cell]
        return good[last_good(len(good))]

    def _answered(self, order: Order, tonight: Tonight, shift: Floats) -> Tonight:
        """Return what is known once an order has been carried out."""
        cells = np.array(sorted(self.places[cell] for cell in order.cells), dtype=np.int64)
        candidate = self._drawn(cells, order.trials, shift)
        if order.stage is NightStage.SECOND_LOOK:
            return Tonight(tonight.first, tonight.drift, candidate)
        # Ordered cells alone have a baseline to be sure.
        built = np.array([self._baseline(cell).shift if good else 0.0 for cell, good in enumerate(self.good)])
        baseline = self._drawn(cells, order.trials, built)
        both = {key: (baseline[key], candidate[key]) for key in candidate}
        return Tonight(tonight.first, tonight.drift, tonight.second, (*tonight.looks, both))

    def _drawn(self, cells: Ints, count: int, shift: Floats) -> dict[Key, tuple[float, ...]]:
        rows = self.world.trials(cells, count, later=True) + shift[cells, None]
        return {self.keys[cell]: tuple(row) for cell, row in zip(cells.tolist(), rows.tolist(), strict=True)}

    def _remembered(self, findings: Mapping[Key, Finding], tonight: Tonight, shift: Floats) -> Outcome:
        """Keep what a report keeps, and return what the night found."""
        found = [findings[key] for key in self.keys]
        night = self.values.shape[1]
        self.values = np.column_stack([self.values, [one.value for one in found]])
        self.variances = np.column_stack([self.variances, [one.variance for one in found]])
        for cell, one in enumerate(found):
            self.thresholds[cell] = one.threshold
            if one.new_segment:
                self.begins[cell], self.good[cell] = night, ()
            if one.verdict in GOOD and not one.suspected:
                trials = tonight.first[self.keys[cell]]
                side = BaselineSide(f"run-{night}", f"night-{night}", trials, identical=False)
                self.good[cell] = (*self.good[cell][-WINDOW:], Good(side, float(shift[cell])))
        return Outcome(np.array([one.verdict in _CHANGED for one in found]), np.array([one.spent for one in found]))


def found_steps(fleet: Fleet, steps: tuple[float, float], seed: int) -> Mapping[float, tuple[float, float]]:
    """Return by step how often tonight's slower build is confirmed at once, and within three nights, cell by cell.

    A tenth of the cells is slower by either step at a time, three of a device each. All of them compete for time.
    """
    found: dict[float, list[NDArray[np.bool_]]] = {step: [] for step in steps}
    for group in range(10):
        branch = fleet.branch(np.random.default_rng((seed, group)))
        tenth = (np.arange(fleet.world.cells) + group) % 10
        slower = {step: tenth == 5 * place for place, step in enumerate(steps)}
        shift = sum((np.where(cells, math.log1p(step), 0.0) for step, cells in slower.items()), start=np.zeros(()))
        nights = [branch.live(shift).confirmed for _ in range(3)]
        for step, cells in slower.items():
            found[step].append(np.array([night[cells] for night in nights]))
    by_step = {step: np.concatenate(parts, axis=1) for step, parts in found.items()}
    return {step: (float(nights[0].mean()), float(nights.any(axis=0).mean())) for step, nights in by_step.items()}
