"""Join each cell of tonight's build with earlier nights and decisions of people: the subjects of the stages."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from orchestrator.analysis.nights.subjects import BaselineSide, Key, Subject
from orchestrator.domain.baseline import Baseline, level_of, segment_began
from orchestrator.domain.build import environment_difference
from orchestrator.domain.device import Device
from orchestrator.domain.measurement import Cell, CellResult
from orchestrator.domain.metric import Direction, metric_named
from orchestrator.domain.nightly import BaselineChoice, Nightly
from orchestrator.domain.plan.document import ShippedJob
from orchestrator.services.nights.contents import PlannedCells, content_of
from orchestrator.services.nights.folder import NightBlobs
from orchestrator.services.nights.history import Past, Segment
from orchestrator.services.nights.pairing import cell_name, obstacle
from orchestrator.services.nights.values import RunValues, TonightCell, logarithms

PINNED = "pinned"
ACCURACY = "accuracy_top1"


@dataclass(frozen=True, slots=True)
class Subjects:
    """Make the subjects of a night."""

    nightly: Nightly
    began_at: datetime
    past: Past
    levels: tuple[Baseline, ...]
    planned: PlannedCells
    values: RunValues
    blobs: NightBlobs

    def subject(self, tonight: TonightCell, metric: str, device: Device) -> Subject:
        """Return the knowledge of a cell's metric before tonight."""
        key, series = Key(*tonight.key, metric), tonight.series
        segment = self.segment(key, series)
        side, job = self.baseline(key, tonight, segment, series)
        baseline = None if side is None else self._side(side, metric, tonight, job)
        noisy = segment.noisy()
        return Subject(
            key,
            worse=-1 if metric_named(metric).direction is Direction.HIGHER else 1,
            min_effect=next(one.on(device) for one in self.nightly.min_effects if one.metric == metric),
            history=segment.values,
            variances=segment.variances,
            freedoms=segment.freedoms,
            threshold=segment.threshold,
            baseline=baseline,
            environment=self._environment(tonight, metric, side),
            opened=segment.standing,
            quarantine=noisy,
            quarantined_since=None if noisy is None else self.past.quarantined_since(key, self.began_at),
        )

    def accuracy(self, tonight: TonightCell, metric: str | None) -> Subject:
        """Return the knowledge of a cell's accuracy before tonight.

        The baseline is the baseline of the first judged metric, from a night without a worse accuracy.
        """
        key = Key(*tonight.key, metric or ACCURACY)
        first = self.nightly.metrics[0].name
        segment = self.segment(key, tonight.series)
        # By the first metric: an accuracy has no history that could be noisy.
        judged = Key(*tonight.key, first)
        if self.nightly.baseline.choice is BaselineChoice.PINNED:
            # A person may have accepted the accuracy of another run than the pinned one.
            side, job = self._pinned(key, tonight, tonight.series)
        else:
            nights = self.segment(judged, tonight.series)
            # An accuracy that was accepted is the level from that night on.
            before = {one.report.night for one in nights.nights} - {one.report.night for one in segment.nights}
            left_out = self.past.regressed(key) | (before if segment.nights else set())
            side, job = self.baseline(judged, tonight, nights, tonight.series, but=left_out)
        return Subject(
            key,
            worse=-1,
            # The drop of an accuracy has a bound of its own.
            min_effect=0.0,
            baseline=None if side is None else self._side(side, first, tonight, job),
            environment=self._environment(tonight, first, side),
            opened=segment.standing,
        )

    def gone(self, side: Cell | None) -> BaselineSide | None:
        """Return the baseline of a cell outside of tonight's sweeps."""
        if side is None:
            return None
        return BaselineSide(side.run, self._night_of(side.run) or PINNED, (), identical=False, obstacle="no candidate")

    def segment(self, key: Key, series: int | None) -> Segment:
        """Return the present segment of a cell."""
        began = None if series is None else segment_began(self.levels, series, key.metric)
        return self.past.segment(key, began)

    def baseline(
        self,
        key: Key,
        tonight: TonightCell | None,
        segment: Segment,
        series: int | None,
        *,
        but: Collection[str] = (),
    ) -> tuple[Cell | None, ShippedJob | None]:
        """Return the baseline's cell of an earlier run, and the cell's job then. The nights `but` are no baselines."""
        if self.nightly.baseline.choice is BaselineChoice.PINNED:
            return (None, None) if tonight is None else self._pinned(key, tonight, series)
        night = segment.baseline(self.nightly.baseline, but)
        return (None, None) if night is None else (night.cell.cell, self.planned.job(night.cell.cell))

    def _pinned(self, key: Key, tonight: TonightCell, series: int | None) -> tuple[Cell | None, ShippedJob | None]:
        if tonight.job is None:
            return self._pinned_value(key.metric, tonight.cell), None
        level = None if series is None else level_of(self.levels, series, key.metric)
        if level is None:
            return None, None
        job = self.planned.like(level.run, key.device, tonight.cell.model, tonight.job)
        if job is None:
            return None, None
        return replace(tonight.cell, run=level.run, runtime=job.runtime), job

    def _pinned_value(self, metric: str, cell: Cell) -> Cell | None:
        """Return the pinned cell, with a value, for a cell without a job tonight, or None.

        A cell without a job has no series, and is found by name in the pinned runs.
        """
        for run in dict.fromkeys(one.run for one in self.levels if one.superseded_at is None):
            for found in self.values.of(run, metric).values():
                level = None if found.series is None else level_of(self.levels, found.series, metric)
                is_level = level is not None and level.run == run and bool(found.trial_values)
                if is_level and _stable(found.cell) == _stable(cell):
                    return found.cell
        return None

    def _side(self, cell: Cell, metric: str, tonight: TonightCell, job: ShippedJob | None) -> BaselineSide:
        result = self.values.result(cell, metric)
        trials = () if result is None else logarithms(result.trial_values)
        night = self._night_of(cell.run) or PINNED
        if job is None or tonight.job is None:
            return BaselineSide(cell.run, night, trials, identical=False, obstacle="its plan is not on record")
        content = content_of(job)
        identical = content == content_of(tonight.job)
        # Identical bytes are never rerun, so that their contents may be gone.
        hindered = None if identical else obstacle(job, tonight.job, self.blobs)
        return BaselineSide(cell.run, night, trials, identical, hindered, content)

    def _night_of(self, run: str) -> str | None:
        reports = (one for one in self.past.reports if any(known.run == run for known in one.runs))
        return next((one.night for one in reports), None)

    def _environment(self, tonight: TonightCell, metric: str, side: Cell | None) -> str | None:
        """Return the changes of the device since the baseline, in words, or None."""
        before = None if side is None else self.values.result(side, metric)
        now = tonight.results.get(metric)
        if before is None or now is None:
            return None
        changes = [*environment_difference(before.environments, now.environments), *_workers(before, now)]
        return ", ".join(changes) or None


def _stable(cell: Cell) -> tuple[object, ...]:
    """Return a cell's name without the run and the version of the runtime."""
    device, model, variant, runtime, settings = cell_name(cell)
    return device, model, variant, runtime.partition("==")[0], settings


def _workers(before: CellResult, now: CellResult) -> Iterator[str]:
    """Yield the change of the worker: the measuring program is no part of a build."""
    old, new = ({build.worker_sha256[:12] for build in one.builds} for one in (before, now))
    if old and new and old != new:
        yield f"worker {' and '.join(sorted(old))} -> {' and '.join(sorted(new))}"
