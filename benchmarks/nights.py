"""Simulate nights of many cells, and what the nightly procedure makes of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis import nightly

Floats = NDArray[np.float64]

TRIALS, WARM_UP, CELLS_OF_DEVICE, CANARIES = 5, 30, 30, 3
_MEDIAN_VARIANCE = 0.839
"""The median of a variance of five trials, over its mean."""


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
        self.level = np.zeros(cells)

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

    def trials(self, chosen: NDArray[np.int64], count: int, *, later: bool = False) -> Floats:
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
    """Hold per cell and judged night what was confirmed, and the extra time in plain nights."""

    confirmed: NDArray[np.bool_]
    spent: Floats


def live(world: World, nights: int, step: float = 0.0, step_night: int | None = None) -> Outcome:
    """Run the procedure for so many nights. The first WARM_UP are not judged.

    Candidates are slower by `step` from `step_night` on. A confirmed cell begins a new segment: its baseline is the
    candidate from then on.
    """
    cells = world.cells
    history = np.full((cells, nights), np.nan)
    variances = np.full((cells, nights), np.nan)
    canaries = np.full((len(world.common), CANARIES, nights), np.nan)
    threshold = np.full(cells, nightly.THRESHOLD_START)
    outcome = Outcome(np.zeros((cells, nights), dtype=bool), np.zeros((cells, nights)))
    everyone = np.arange(cells)
    for night in range(nights):
        world.pass_night()
        shift = np.full(cells, step if step_night is not None and night >= step_night else 0.0)
        noise = _noise(variances[:, :night], world.nights.cv)
        rows = world.trials(everyone, TRIALS) + shift[:, None]
        value, variances[:, night] = nightly.night_value(rows, noise)
        canaries[:, :, night] = world.canaries()
        drift = _shared(canaries[:, :, : night + 1])[world.device]
        tonight = value - drift
        if night >= WARM_UP:
            expected = nightly.expect(history[:, :night], np.sqrt(noise / TRIALS))
            state = (threshold, shift, drift)
            spent, confirmed = _judge(world, expected, history[:, :night], (tonight, noise), state)
            outcome.spent[:, night], outcome.confirmed[:, night] = spent, confirmed
            threshold = nightly.adapt(threshold, spent, expected.drift)
            history[confirmed, :night] = np.nan
        history[:, night] = tonight
    return outcome


def _judge(
    world: World,
    expected: nightly.Expectation,
    history: Floats,
    measured: tuple[Floats, Floats],
    state: tuple[Floats, Floats, Floats],
) -> tuple[Floats, NDArray[np.bool_]]:
    """Take the cells of one night through the stages. Return the extra time, and what was confirmed."""
    (tonight, noise), (threshold, shift, drift) = measured, state
    side = nightly.first_look(expected, history, tonight, threshold)
    spent = np.zeros(world.cells)
    again = np.flatnonzero(nightly.second_look_due(expected, side))
    if len(again):
        rows = world.trials(again, TRIALS, later=True) + shift[again, None]
        value, _ = nightly.night_value(rows, noise[again])
        spent[again] += 1
        kept = nightly.stands(_rows(expected, again), value - drift[again], side[again])
        side[again[~kept]] = 0
    confirmed = np.zeros(world.cells, dtype=bool)
    going = np.flatnonzero(side)
    rows_of: list[Floats] = [np.empty((len(going), 0)), np.empty((len(going), 0))]
    for look, count in enumerate(nightly.LOOKS):
        if not len(going):
            break
        more = count - rows_of[0].shape[1]
        rows_of = [
            np.hstack([rows_of[0], world.trials(going, more, later=True)]),
            np.hstack([rows_of[1], world.trials(going, more, later=True) + shift[going, None]]),
        ]
        spent[going] += 2 * more / TRIALS
        least = np.full(len(going), math.log1p(0.01))
        found = nightly.confirm((rows_of[0], rows_of[1]), noise[going], side[going], look, least)
        confirmed[going[found.confirmed]] = True
        on = ~found.confirmed & ~found.given_up
        going, rows_of = going[on], [rows[on] for rows in rows_of]
    return spent, confirmed


def _rows(expected: nightly.Expectation, chosen: NDArray[np.int64]) -> nightly.Expectation:
    return nightly.Expectation(
        expected.value[chosen], expected.median[chosen], expected.drift[chosen], expected.scale[chosen]
    )


def _noise(variances: Floats, first: float) -> Floats:
    """Return each cell's usual variance of a trial, by its history."""
    if variances.shape[1] < nightly.NIGHTS_MIN:
        return np.full(len(variances), first**2)
    return np.asarray(np.nanmedian(variances[:, -nightly.WINDOW :], axis=1) / _MEDIAN_VARIANCE)


def _shared(canaries: Floats) -> Floats:
    if canaries.shape[2] <= nightly.NIGHTS_MIN:
        return np.zeros(len(canaries))
    return np.array([nightly.shared_drift(device[:, :-1], device[:, -1]) for device in canaries])
