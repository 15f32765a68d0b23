"""What comparisons read: one value per counted trial, never pooled iterations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, Select, and_, select

from orchestrator.domain.errors import StoreError
from orchestrator.domain.measurement import Cell, CellOutputs, CellResult
from orchestrator.domain.plan import TrialKind
from orchestrator.domain.run import ExcludedCell, TrialState
from orchestrator.store import tables as t
from orchestrator.store.engine import Database
from orchestrator.store.wording import describe_failure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(slots=True)
class _Tally:
    """What the trials of one job gave."""

    measured: list[float] = field(default_factory=list)
    from_preflight: list[float] = field(default_factory=list)
    invalid: int = 0
    failed: int = 0
    missing: int = 0
    without_metric: int = 0
    rejected: str | None = None

    def add(self, row: Row[Any]) -> None:
        """Count one trial."""
        state = TrialState(row.state)
        if row.kind == TrialKind.PREFLIGHT.value:
            if row.value is not None:
                self.from_preflight.append(row.value)
            if state is TrialState.FAILED:
                self.rejected = describe_failure(row.failure_kind, row.failure_message) or "its preflight failed"
        elif row.value is not None:
            self.measured.append(row.value)
        elif state is TrialState.MEASURED:
            self.without_metric += 1
        elif state is TrialState.SKIPPED:
            self.rejected = self.rejected or row.skip_reason or "its preflight failed"
        elif state is TrialState.INVALID:
            self.invalid += 1
        elif state is TrialState.FAILED:
            self.failed += 1
        else:
            self.missing += 1


class ResultTable:
    """Plays `Results`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def cell_results(self, run: str, metric: str) -> Sequence[CellResult]:
        """Return one row per job of the run, jobs without any value included."""
        with self._database.read() as connection:
            jobs = connection.execute(_jobs(run)).all()
            tallies = {job.id: _Tally() for job in jobs}
            for row in connection.execute(_trials(run, metric)):
                tallies[row.job_id].add(row)
            accuracies: dict[int, float] = {
                row.job_id: row.value for row in connection.execute(_accuracies(run)) if row.value is not None
            }
        return [_cell_result(job, metric, tallies[job.id], accuracies.get(job.id)) for job in jobs]

    def measured_metrics(self, run: str) -> Sequence[str]:
        """Return the names of the metrics that counted attempts of the run have, in alphabetical order."""
        statement = (
            select(t.measurement.c.metric)
            .distinct()
            .join(t.attempt, and_(t.attempt.c.id == t.measurement.c.attempt_id, t.attempt.c.counted))
            .join(t.trial, t.trial.c.id == t.attempt.c.trial_id)
            .join(t.run_device, t.run_device.c.id == t.trial.c.run_device_id)
            .where(t.run_device.c.run_id == run)
        )
        with self._database.read() as connection:
            return sorted(connection.execute(statement).scalars())

    def excluded_cells(self, run: str) -> Sequence[ExcludedCell]:
        """Return the cells that devices of the run were not asked for, and why."""
        statement = (
            select(t.device.c.name, t.excluded_cell.c.label, t.excluded_cell.c.reason)
            .join(t.run_device, t.run_device.c.id == t.excluded_cell.c.run_device_id)
            .join(t.device, t.device.c.id == t.run_device.c.device_id)
            .where(t.run_device.c.run_id == run)
            .order_by(t.run_device.c.id, t.excluded_cell.c.label)
        )
        with self._database.read() as connection:
            return [ExcludedCell(*row) for row in connection.execute(statement)]

    def newest_run_with_results(self) -> str | None:
        """Return the newest run of which a measure trial counts; None if there is none."""
        measured = (
            select(t.trial.c.id)
            .join(t.run_device, t.run_device.c.id == t.trial.c.run_device_id)
            .where(
                t.run_device.c.run_id == t.run.c.id,
                t.trial.c.kind == TrialKind.MEASURE.value,
                t.trial.c.state == TrialState.MEASURED.value,
            )
            .exists()
        )
        statement = select(t.run.c.id).where(measured).order_by(t.run.c.started_at.desc(), t.run.c.id.desc()).limit(1)
        with self._database.read() as connection:
            found: str | None = connection.execute(statement).scalar()
        return found

    def cell_outputs(self, run: str) -> Sequence[CellOutputs]:
        """Return the preflight outputs of each job that has them."""
        statement = (
            _jobs(run)
            .add_columns(t.preflight_output)
            .join(t.trial, t.trial.c.job_id == t.job.c.id)
            .join(t.attempt, and_(t.attempt.c.trial_id == t.trial.c.id, t.attempt.c.counted))
            .join(t.preflight_output, t.preflight_output.c.attempt_id == t.attempt.c.id)
        )
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        return [
            CellOutputs(_cell(row), row._mapping["count"], row.values_per_output, row.data, row.inputs) for row in rows
        ]

    def load_samples(self, attempt: int, metric: str) -> NDArray[np.unsignedinteger] | None:
        """Return every raw sample of a metric of an attempt, in order; None where there are none."""
        from device_worker.protocol.samples import CorruptSamples
        from orchestrator.store.codec import load_block

        block = t.sample_block
        statement = select(block).where(block.c.attempt_id == attempt, block.c.metric == metric)
        with self._database.read() as connection:
            row = connection.execute(statement).one_or_none()
        if row is None:
            return None
        try:
            return load_block(row.codec, row.data, row.crc32, row._mapping["count"])
        except CorruptSamples as error:
            raise StoreError(f"the samples of {metric} in attempt {attempt} are damaged: {error}") from None


def _jobs(run: str) -> Select[Any]:
    return (
        select(
            t.job.c.id,
            t.run_device.c.run_id,
            t.device.c.name.label("device"),
            t.model.c.name.label("model"),
            t.model_variant.c.name.label("variant"),
            t.model_variant.c.size_bytes,
            t.runtime.c.label.label("runtime"),
            t.job.c.settings,
        )
        .join(t.run_device, t.run_device.c.id == t.job.c.run_device_id)
        .join(t.device, t.device.c.id == t.run_device.c.device_id)
        .join(t.model_variant, t.model_variant.c.id == t.job.c.variant_id)
        .join(t.model, t.model.c.id == t.model_variant.c.model_id)
        .join(t.runtime, t.runtime.c.id == t.job.c.runtime_id)
        .where(t.run_device.c.run_id == run)
        .order_by(t.run_device.c.id, t.job.c.id)
    )


def _trials(run: str, metric: str) -> Select[Any]:
    """Return every trial of a run with the metric's value in its counted attempt, or what its last failure was."""
    counted, failed = t.attempt.alias("counted"), t.attempt.alias("failed")
    later = t.attempt.alias("later")
    is_last = (
        ~select(later.c.id).where(later.c.trial_id == failed.c.trial_id, later.c.ordinal > failed.c.ordinal).exists()
    )
    return (
        select(
            t.trial.c.job_id,
            t.trial.c.kind,
            t.trial.c.state,
            t.trial.c.skip_reason,
            t.measurement.c.value,
            failed.c.failure_kind,
            failed.c.failure_message,
        )
        .join(t.run_device, t.run_device.c.id == t.trial.c.run_device_id)
        .outerjoin(counted, and_(counted.c.trial_id == t.trial.c.id, counted.c.counted))
        .outerjoin(t.measurement, and_(t.measurement.c.attempt_id == counted.c.id, t.measurement.c.metric == metric))
        .outerjoin(
            failed,
            and_(failed.c.trial_id == t.trial.c.id, t.trial.c.state == TrialState.FAILED.value, is_last),
        )
        .where(t.run_device.c.run_id == run)
        .order_by(t.trial.c.job_id, t.trial.c.trial_index)
    )


def _accuracies(run: str) -> Select[Any]:
    """Return what preflights found of the accuracy; the first metric by name where there are several."""
    return (
        select(t.trial.c.job_id, t.measurement.c.value)
        .join(t.run_device, t.run_device.c.id == t.trial.c.run_device_id)
        .join(t.attempt, and_(t.attempt.c.trial_id == t.trial.c.id, t.attempt.c.counted))
        .join(t.measurement, t.measurement.c.attempt_id == t.attempt.c.id)
        .where(
            t.run_device.c.run_id == run,
            t.trial.c.kind == TrialKind.PREFLIGHT.value,
            t.measurement.c.metric.startswith("accuracy_", autoescape=True),
        )
        .order_by(t.measurement.c.metric.desc())
    )


def _cell(row: Row[Any]) -> Cell:
    return Cell(row.run_id, row.device, row.model, row.variant, row.runtime, row.settings)


def _cell_result(job: Row[Any], metric: str, tally: _Tally, accuracy: float | None) -> CellResult:
    return CellResult(
        cell=_cell(job),
        metric=metric,
        trial_values=tuple(tally.measured or tally.from_preflight),
        invalid=tally.invalid,
        failed=tally.failed,
        missing=tally.missing,
        size_bytes=job.size_bytes,
        accuracy=accuracy,
        rejected=tally.rejected,
        without_metric=tally.without_metric if tally.measured or not tally.from_preflight else 0,
    )
