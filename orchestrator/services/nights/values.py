"""Read a night's cells and values back from the runs of its stages."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.analysis.nights.subjects import CellKey, Key
from orchestrator.analysis.ratio import usable
from orchestrator.domain.measurement import Cell, CellResult
from orchestrator.domain.plan.document import ShippedJob
from orchestrator.services.nights.candidate import NightSweep
from orchestrator.services.nights.contents import PlannedCells, slot_of
from orchestrator.services.nights.pairing import CellName, Side, cell_name
from orchestrator.services.results.selection import left_out
from orchestrator.store.base import Roles


@dataclass(frozen=True, slots=True)
class TonightCell:
    """Hold a cell of the first look: number of the sweep, name, job, and results by metric.

    `absent` says why the cell is not in the device's plan.
    """

    number: int
    sweep: str
    key: CellKey
    cell: Cell
    job: ShippedJob | None
    results: Mapping[str, CellResult] = field(default_factory=dict)
    absent: str | None = None

    @property
    def series(self) -> int | None:
        """Return the database's id of the series, or None for a cell without a job."""
        return next((one.series for one in self.results.values()), None)

    def trials(self, metric: str) -> tuple[float, ...]:
        """Return the logarithms of the trials, none if any value has no logarithm."""
        found = self.results.get(metric)
        return () if found is None else logarithms(found.trial_values)


def logarithms(values: Sequence[float]) -> tuple[float, ...]:
    """Return the logarithms of trial values, none if any value has no logarithm."""
    return tuple(math.log(value) for value in values) if usable(values) else ()


def key_of(sweep: NightSweep, cell: Cell) -> CellKey:
    """Return the name of a cell, the same from night to night."""
    declared = sweep.declared.get(cell.runtime, cell.runtime)
    return CellKey(cell.device, slot_of(sweep.name, cell.model, (cell.variant, declared, cell.settings)))


def first_cells(
    store: Roles, planned: PlannedCells, runs: Iterable[tuple[int, NightSweep, str]], metrics: Sequence[str]
) -> dict[CellKey, TonightCell]:
    """Return the cells of runs, each run given by the sweep's number, the sweep and the run's id."""
    found: dict[CellKey, TonightCell] = {}
    for number, sweep, run in runs:
        results = {metric: list(store.results.cell_results(run, metric)) for metric in metrics}
        every = results[metrics[0]]
        for place, one in enumerate(every):
            key = key_of(sweep, one.cell)
            # A run's cells come in the same order for every metric.
            of_cell = {metric: results[metric][place] for metric in metrics}
            found[key] = TonightCell(number, sweep.name, key, one.cell, planned.job(one.cell), of_cell)
        for one in left_out(store.results, run, every, rules_too=True) if every else []:
            key = key_of(sweep, one.cell)
            found.setdefault(key, TonightCell(number, sweep.name, key, one.cell, None, absent=one.absent))
    return found


class RunValues:
    """Read the trials of cells of any run. Each run is read once."""

    def __init__(self, store: Roles) -> None:
        self._store = store
        self._known: dict[tuple[str, str], Mapping[CellName, CellResult]] = {}

    def result(self, cell: Cell, metric: str) -> CellResult | None:
        """Return the result of a cell of a run, or None."""
        return self.of(cell.run, metric).get(cell_name(cell))

    def of(self, run: str, metric: str) -> Mapping[CellName, CellResult]:
        """Return the results of a run, by the cells' names."""
        if (run, metric) not in self._known:
            results = self._store.results.cell_results(run, metric)
            self._known[run, metric] = {cell_name(one.cell): one for one in results}
        return self._known[run, metric]


def second_values(
    values: RunValues, runs: Iterable[tuple[str, Mapping[CellName, tuple[CellKey, Side]]]], metrics: Sequence[str]
) -> dict[Key, tuple[float, ...]]:
    """Return the candidate's trials of a second look."""
    return {key: candidate for key, (_, candidate) in both_values(values, runs, metrics).items() if candidate}


def both_values(
    values: RunValues, runs: Iterable[tuple[str, Mapping[CellName, tuple[CellKey, Side]]]], metrics: Sequence[str]
) -> dict[Key, tuple[tuple[float, ...], tuple[float, ...]]]:
    """Return the trials of baseline and candidate of each cell and metric. A side without a value is empty."""
    found: dict[Key, dict[Side, tuple[float, ...]]] = {}
    for run, sides in runs:
        for metric in metrics:
            for name, result in values.of(run, metric).items():
                if name in sides:
                    cell, side = sides[name]
                    found.setdefault(Key(*cell, metric), {})[side] = logarithms(result.trial_values)
    return {key: (one.get(Side.BASELINE, ()), one.get(Side.CANDIDATE, ())) for key, one in found.items()}
