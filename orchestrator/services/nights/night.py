"""Take a night through its stages on the devices, and collect the grounds for the stages' decisions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orchestrator.analysis.nights.subjects as s
from orchestrator.analysis.nights.drift import canary_drift
from orchestrator.analysis.nights.stages import advance, looked_at
from orchestrator.domain.device import Device
from orchestrator.domain.night import CanaryShift, CanaryValue, NightStage
from orchestrator.domain.night_record import NightRecord
from orchestrator.domain.nightly import Nightly
from orchestrator.services.nights.candidate import Fixed, NightSweep
from orchestrator.services.nights.contents import PlannedCells, content_of
from orchestrator.services.nights.folder import NightFolder, stem_of
from orchestrator.services.nights.history import Past
from orchestrator.services.nights.measure import Runner
from orchestrator.services.nights.pairing import CellName, Rerun, Side, Suspect, write_rerun
from orchestrator.services.nights.subjects import Subjects
from orchestrator.services.nights.values import RunValues, TonightCell, both_values, first_cells, second_values

if TYPE_CHECKING:
    from orchestrator.services.base import NightWiring

RunSides = list[tuple[str, Mapping[CellName, tuple[s.CellKey, Side]]]]


@dataclass(slots=True)
class Night:
    """Hold a night on its way, and all measurements so far."""

    record: NightRecord
    nightly: Nightly
    devices: Sequence[Device]
    fixed: Fixed
    folder: NightFolder
    runner: Runner
    wiring: NightWiring
    past: Past
    planned: PlannedCells
    values: RunValues
    cells: dict[s.CellKey, TonightCell] = field(default_factory=dict)
    subjects: dict[s.Key, s.Subject] = field(default_factory=dict)
    drift: dict[tuple[str, str], float] = field(default_factory=dict)
    shifts: list[CanaryShift] = field(default_factory=list)
    canary_values: list[CanaryValue] = field(default_factory=list)
    reruns: dict[s.CellKey, list[tuple[NightStage, str, Rerun]]] = field(default_factory=dict)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the names of the judged metrics."""
        return tuple(metric.name for metric in self.nightly.metrics)

    def measure_canaries(self) -> None:
        """Measure the canaries on every device, and learn how far each device has drifted as a whole."""
        measured = self._first_runs(NightStage.CANARY, self.fixed.canaries)
        cells = first_cells(self.wiring.store, self.planned, measured, self.metrics)
        found: dict[tuple[str, str], list[tuple[list[float], float]]] = {}
        for key, cell in cells.items():
            for metric in self.metrics:
                trials = cell.trials(metric)
                if not trials or cell.job is None:
                    continue
                value, content = math.fsum(trials) / len(trials), content_of(cell.job)
                self.canary_values.append(CanaryValue(key.device, key.slot, metric, value, content))
                before = self.past.canary_values(key.device, key.slot, metric, content)
                found.setdefault((key.device, metric), []).append((before, value))
        for device in self.devices:
            for metric in self.metrics:
                self._note_shift(device.name, metric, found.get((device.name, metric), []))

    def _note_shift(self, device: str, metric: str, canaries: Sequence[tuple[list[float], float]]) -> None:
        if not self.fixed.canaries:
            return
        drift, reason = canary_drift(canaries)
        self.drift[device, metric] = drift or 0.0
        shift = None if drift is None else math.exp(drift)
        self.shifts.append(CanaryShift(device, metric, shift, len(canaries), reason))

    def look_first(self, subjects: Subjects) -> None:
        """Measure every cell, and join each cell with its earlier nights."""
        measured = self._first_runs(NightStage.FIRST_LOOK, self.fixed.sweeps)
        self.cells = first_cells(self.wiring.store, self.planned, measured, self.metrics)
        by_name = {device.name: device for device in self.devices}
        # A device may have been put into quarantine since the night began, and no more is measured there.
        self.cells = {key: cell for key, cell in self.cells.items() if key.device in by_name}
        for key, cell in self.cells.items():
            for metric in self.metrics:
                subject = subjects.subject(cell, metric, by_name[key.device])
                self.subjects[subject.key] = subject

    def _first_runs(self, stage: NightStage, sweeps: Sequence[NightSweep]) -> list[tuple[int, NightSweep, str]]:
        found = []
        for number, sweep in enumerate(sweeps):
            details = self.runner.measure(stage, sweep, self.devices, (number, 0))
            if details is not None:
                found.append((number, sweep, details.record.header.run))
        return found

    def conclude(self) -> Mapping[s.Key, s.Finding]:
        """Carry out the orders of the stages in turn, until the stages conclude."""
        first = {key: self.cells[key.cell].trials(key.metric) for key in self.subjects}
        tonight = s.Tonight({key: trials for key, trials in first.items() if trials}, self.drift)
        terms = s.Terms(self.nightly.extra, self.nightly.extra_most, self.nightly.trials_most)
        subjects = list(self.subjects.values())
        looked = looked_at(subjects, tonight)
        while isinstance(step := advance(looked, tonight, terms), s.Order):
            runs = self._carry_out(step)
            if step.stage is NightStage.SECOND_LOOK:
                tonight = s.Tonight(tonight.first, tonight.drift, second_values(self.values, runs, self.metrics))
            else:
                looks = (*tonight.looks, both_values(self.values, runs, self.metrics))
                tonight = s.Tonight(tonight.first, tonight.drift, tonight.second, looks)
        return step

    def _carry_out(self, order: s.Order) -> RunSides:
        """Measure an order, a run for each sweep with suspects."""
        runs: RunSides = []
        for number, original in enumerate(self.fixed.sweeps):
            cells = [self.cells[key] for key in sorted(order.cells) if self.cells[key].number == number]
            suspects = [self._suspect(cell, order) for cell in cells]
            if not suspects:
                continue
            # The look counts from 1 in names, because people read them.
            stem = stem_of(self.record, self.wiring.store.leases.database_id())
            name = f"{stem}.{order.stage.value}.{number}"
            name = f"{name}.{order.look + 1}" if order.stage is NightStage.CONFIRMATION else name
            rerun = write_rerun(name, original, suspects, order.trials, (self.folder, self.wiring.cache()))
            sweep = NightSweep(rerun.path, self.wiring.sweep_file(rerun.path), {})
            named = {key.device for key in order.cells}
            chosen = [device for device in self.devices if device.name in named]
            details = self.runner.measure(order.stage, sweep, chosen, (number, order.look))
            if details is not None:
                run = details.record.header.run
                runs.append((run, rerun.sides))
                for cell in cells:
                    self.reruns.setdefault(cell.key, []).append((order.stage, run, rerun))
        return runs

    def _suspect(self, cell: TonightCell, order: s.Order) -> Suspect:
        assert cell.job is not None
        if order.stage is NightStage.SECOND_LOOK:
            return Suspect(cell.key, cell.job)
        # Metrics of one cell may have other nights as baselines.
        chosen = self.subjects[s.Key(*cell.key, order.metrics[cell.key])].baseline
        assert chosen is not None
        job = self.planned.like(chosen.run, cell.key.device, cell.cell.model, cell.job)
        assert job is not None
        return Suspect(cell.key, cell.job, job)
