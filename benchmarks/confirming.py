"""Confirm changes as nights do: base and candidate interleaved in the same runs, with looks at more and more trials."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.real_lab import Cell, RealLab, name_of
from orchestrator.analysis.nightly import LOOKS, confirm

MIN_EFFECT = 0.01


@dataclass(frozen=True, slots=True)
class Change:
    """Hold a base and a candidate. `side` is +1 where the candidate is suspected to be slower, -1 for faster."""

    name: str
    base: Cell
    candidate: Cell
    side: int = 1

    @property
    def cells(self) -> tuple[Cell, Cell]:
        """Return both sides."""
        return self.base, self.candidate


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold what became of a change: whether confirmed, the ratio, and the trials of a side.

    `is_open`: the time was up before the change was confirmed or given up.
    """

    confirmed: bool
    ratio: float
    trials: int
    is_open: bool = False


def trials_of(lab: RealLab, run: str) -> dict[str, list[float]]:
    """Return the trials of each cell."""
    found: dict[str, list[float]] = {}
    for result in lab.results(run):
        found.setdefault(name_of(result.cell), []).extend(result.trial_values)
    return found


def confirm_changes(
    lab: RealLab, changes: Sequence[Change], noise: Mapping[str, float], seed: int, until_s: float
) -> dict[str, Outcome]:
    """Measure both sides of each change until each is confirmed or given up, or until a time of the monotonic clock.

    `noise` is a variance by cell.
    """
    open_changes, outcomes = list(changes), dict[str, Outcome]()
    trials: dict[str, list[float]] = {}
    for look, wanted in enumerate(LOOKS):
        if not open_changes or (look and time.monotonic() > until_s):
            break
        cells = list(dict.fromkeys(cell for change in open_changes for cell in change.cells))
        further = wanted - (LOOKS[look - 1] if look else 0)
        for name, values in trials_of(lab, lab.run(cells, further, seed + look)).items():
            trials.setdefault(name, []).extend(values)
        found = confirm(
            (_rows(open_changes, trials, 0), _rows(open_changes, trials, 1)),
            np.array([noise[change.base.name] for change in open_changes]),
            np.array([change.side for change in open_changes]),
            look,
            np.full(len(open_changes), np.log1p(MIN_EFFECT)),
        )
        for place, change in enumerate(open_changes):
            outcomes[change.name] = Outcome(
                bool(found.confirmed[place]),
                float(np.exp(found.estimate[place])),
                len(trials.get(change.base.name, ())),
            )
        decided = found.confirmed | found.given_up
        open_changes = [change for place, change in enumerate(open_changes) if not decided[place]]
    return outcomes | {change.name: replace(outcomes[change.name], is_open=True) for change in open_changes}


def _rows(changes: Sequence[Change], trials: Mapping[str, Sequence[float]], side: int) -> NDArray[np.float64]:
    """Return logarithms of trials, a row for each change, with NaN behind the last trial."""
    values = [trials.get(change.cells[side].name, ()) for change in changes]
    rows = np.full((len(changes), max(map(len, values))), np.nan)
    for row, found in zip(rows, values, strict=True):
        row[: len(found)] = np.log(found)
    return rows
