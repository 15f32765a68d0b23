"""Compose a night's report of the stages' conclusions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from orchestrator.analysis.nights.subjects import Finding, Key, Subject
from orchestrator.domain.errors import ExitCode
from orchestrator.domain.expansion import names_cell
from orchestrator.domain.gate import GateTerms
from orchestrator.domain.measurement import Cell, CellResult
from orchestrator.domain.night import LostDevice, NightCell, NightReport, NightStage, NightState
from orchestrator.domain.sweep import Sweep
from orchestrator.services.nights.absent import absent, without_most_trials
from orchestrator.services.nights.accuracy import judge_accuracy
from orchestrator.services.nights.cells import CellRuns, compose, lines_of_contents
from orchestrator.services.nights.night import Night
from orchestrator.services.nights.regressions import RegressionKeeper
from orchestrator.services.nights.subjects import Subjects
from orchestrator.services.nights.values import TonightCell

_EXTRA = (NightStage.SECOND_LOOK, NightStage.CONFIRMATION)


@dataclass(frozen=True, slots=True)
class Reporter:
    """Make the report of a night."""

    night: Night
    subjects: Subjects
    keeper: RegressionKeeper

    def report(self, findings: Mapping[Key, Finding]) -> NightReport:
        """Return the report, with every regression on record."""
        judged = [*self._measured(findings), *self._vanished(), *self._accuracies()]
        cells = tuple(self.keeper.keep(cell, series, reopens=found.reopens) for cell, series, found in judged)
        undecided = any(finding.undecided for _, _, finding in judged)
        lost = self._lost(judged)
        night, record = self.night, self.night.record
        times = {one: self.night.wiring.store.nights.device_time_s(one.run) for one in night.runner.runs.values()}
        code = self._exit_code(cells, undecided=undecided)
        return NightReport(
            night=record.id,
            nightly=record.nightly,
            began_at=record.began_at,
            ended_at=datetime.now(UTC),
            state=NightState.INCOMPLETE if undecided or lost else NightState.COMPLETE,
            exit_code=code,
            candidate=lines_of_contents(list(night.cells.values())),
            baseline=tuple(self._baselines()),
            devices=tuple(device.name for device in night.devices),
            device_time_s=sum(times.values()),
            extra_s=sum(seconds for one, seconds in times.items() if one.stage in _EXTRA),
            allowance=night.nightly.extra,
            cells=cells,
            lost=lost,
            canaries=tuple(night.shifts),
            canary_values=tuple(night.canary_values),
            runs=tuple(night.runner.runs.values()),
        )

    def _measured(self, findings: Mapping[Key, Finding]) -> Iterator[tuple[NightCell, int | None, Finding]]:
        for key, subject in self.night.subjects.items():
            tonight = self.night.cells[key.cell]
            found = findings.get(key)
            finding = (
                absent(subject, tonight, key.metric, self._lost_for(key.device))
                if found is None
                else without_most_trials(found, tonight.results[key.metric])
            )
            # A cell that the sweep allows to fail leaves no night incomplete.
            if finding.undecided and self._is_allowed(tonight):
                finding = replace(finding, undecided=False)
            yield self._composed(subject, tonight.cell, tonight, finding), tonight.series, finding

    def _vanished(self) -> Iterator[tuple[NightCell, int | None, Finding]]:
        """Yield the baseline's cells outside of tonight's sweeps."""
        here = {device.name for device in self.night.devices}
        sweeps = {sweep.name for sweep in self.night.fixed.sweeps}
        measured = {sweep.name for sweep in self.night.fixed.sweeps if self._has_run(sweep.name)}
        for key in sorted(self.night.past.keys - self.night.subjects.keys()):
            newest = self.night.past.newest(key)
            if newest is None or key.device not in here or key.metric not in self.night.metrics:
                continue
            if newest.sweep not in sweeps:
                continue  # the sweep was taken from the nightly file on purpose
            segment = self.subjects.segment(key, None)
            gone = TonightCell(0, newest.sweep, key.cell, newest.cell, None)
            side, _ = self.subjects.baseline(key, gone, segment, None)
            if side is None and segment.standing is None:
                continue
            result = None if side is None else self.night.values.result(side, key.metric)
            subject = Subject(key, 1, 0.01, opened=segment.standing, baseline=self.subjects.gone(side))
            lost = self._lost_for(key.device)
            if lost is None and newest.sweep not in measured:
                lost = "no run of the sweep"
            finding = absent(subject, None, key.metric, lost)
            cell = replace(newest.cell, run=self._run_of(newest.sweep) or newest.cell.run)
            yield self._composed(subject, cell, None, finding), result.series if result else None, finding

    def _accuracies(self) -> Iterator[tuple[NightCell, int | None, Finding]]:
        terms = GateTerms(self.night.nightly.accuracy_drop)
        # Any metric would do: results have the cell's accuracy in each.
        metric = self.night.metrics[0]
        for tonight in self.night.cells.values():
            result = tonight.results.get(metric)
            if result is None or result.rejected is not None or not _has_accuracy(result, self._sweep(tonight)):
                continue
            subject = self.subjects.accuracy(tonight, result.accuracy_metric)
            base = self._base_result(subject, tonight, metric)
            finding = judge_accuracy(subject, base, result, terms)
            if finding is not None:
                cell = self._composed(subject, tonight.cell, tonight, finding)
                yield (
                    replace(cell, value=result.accuracy, expected=base.accuracy if base else None),
                    tonight.series,
                    finding,
                )

    def _base_result(self, subject: Subject, tonight: TonightCell, metric: str) -> CellResult | None:
        if subject.baseline is None or tonight.job is None:
            return None
        job = self.night.planned.like(subject.baseline.run, tonight.key.device, tonight.cell.model, tonight.job)
        if job is None:
            return None
        return self.night.values.result(replace(tonight.cell, run=subject.baseline.run, runtime=job.runtime), metric)

    def _composed(self, subject: Subject, cell: Cell, tonight: TonightCell | None, finding: Finding) -> NightCell:
        drift = self.night.drift.get((subject.key.device, subject.key.metric), 0.0)
        return compose(subject, cell, tonight, finding, (self._runs(subject, cell, tonight), drift))

    def _runs(self, subject: Subject, cell: Cell, tonight: TonightCell | None) -> CellRuns:
        """Return the runs of both sides: runs of the rerun, or else of the two nights."""
        reruns = self.night.reruns.get(subject.key.cell, [])
        confirmed = tuple(run for stage, run, _ in reruns if stage is NightStage.CONFIRMATION)
        file = reruns[-1][2].path if reruns else None
        if file is None and tonight is not None:
            file = self.night.fixed.sweeps[tonight.number].path
        if confirmed:
            return CellRuns(confirmed, (cell.run, *confirmed), file)
        baseline = () if subject.baseline is None else (subject.baseline.run,)
        return CellRuns(baseline, (cell.run, *(run for _, run, _ in reruns)), file)

    def _is_allowed(self, tonight: TonightCell) -> bool:
        allowed = self._sweep(tonight).allow_failures
        return tonight.job is not None and names_cell(allowed, tonight.key.device, tonight.job.label)

    def _sweep(self, tonight: TonightCell) -> Sweep:
        return self.night.fixed.sweeps[tonight.number].file.sweep

    def _has_run(self, sweep: str) -> bool:
        return self._run_of(sweep) is not None

    def _run_of(self, sweep: str) -> str | None:
        runs = self.night.runner.runs.values()
        return next((one.run for one in runs if one.stage is NightStage.FIRST_LOOK and one.sweep == sweep), None)

    def _lost_for(self, device: str) -> str | None:
        """Return why a device was lost before or in the first look, or None."""
        stages = (NightStage.CANARY, NightStage.FIRST_LOOK)
        found = (self.night.runner.lost.get((device, stage)) for stage in stages)
        return next((one.error for one in found if one is not None), None)

    def _lost(self, judged: list[tuple[NightCell, int | None, Finding]]) -> tuple[LostDevice, ...]:
        undecided = Counter(cell.cell.device for cell, _, finding in judged if finding.undecided)
        return tuple(replace(one, cells=undecided[one.device]) for one in self.night.runner.lost.values())

    def _baselines(self) -> Iterator[str]:
        yield str(self.night.nightly.baseline)
        sides = [subject.baseline for subject in self.night.subjects.values() if subject.baseline is not None]
        for (night, run), cells in Counter((side.night, side.run) for side in sides).most_common():
            yield f"{night}, run {run}: {cells} {'cell' if cells == 1 else 'cells'}"

    def _exit_code(self, cells: tuple[NightCell, ...], *, undecided: bool) -> ExitCode:
        # A regression first: a lost device must not hide that a build is worse.
        if any(cell.fails for cell in cells):
            return ExitCode.REGRESSION
        if all(self._lost_for(device.name) is not None for device in self.night.devices):
            return ExitCode.INFRASTRUCTURE
        if undecided or self.night.runner.lost or not cells:
            return ExitCode.INCOMPLETE
        return ExitCode.FINE


def _has_accuracy(result: CellResult, sweep: Sweep) -> bool:
    return sweep.accuracy is not None or result.accuracy is not None
