"""Read the results for comparisons: a value per counted trial, never pooled iterations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import BindParameter, Row, Select, and_, bindparam, select

from orchestrator.domain.build import Environment
from orchestrator.domain.errors import StoreError
from orchestrator.domain.input_results import CellInputResults, InputEncoding
from orchestrator.domain.measurement import Cell, CellOutputs, CellResult
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.remark import CellRemark
from orchestrator.domain.run import ExcludedCell, TrialState
from orchestrator.domain.runtime import OF_UNKNOWN_BUILD
from orchestrator.store.records.accuracies import accuracies_by_job, clipped_by_job
from orchestrator.store.records.environments import environments_of
from orchestrator.store.records.trial_values import RunTrials, Tally
from orchestrator.store.records.unkept import outputs_of, proof_remarks
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.engine import Database

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class ResultTable:
    """Play the role `Results`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def cell_results(self, run: str, metric: str) -> Sequence[CellResult]:
        """Return a row for each job of a run, jobs without any value included."""
        return self.results_in_metrics(run, (metric,))[metric]

    def results_in_metrics(self, run: str, metrics: Sequence[str]) -> Mapping[str, Sequence[CellResult]]:
        """Return the rows of `cell_results` for each metric, all of one moment."""
        with self._database.read() as connection:
            jobs = connection.execute(_JOBS, {"run": run}).all()
            trials = RunTrials(connection, run, metrics)
            accuracies, clipped = accuracies_by_job(connection, run), clipped_by_job(connection, run)
            environments = environments_of(connection, run)
        # A cell of many trials is named once for all metrics.
        cells = [_cell(job) for job in jobs]
        return {
            metric: [
                _cell_result(
                    (job, cell),
                    metric,
                    trials.tally(job.id, metric),
                    (*accuracies.get(job.id, (None, None)), clipped.get(job.id)),
                    environments[job.device],
                )
                for job, cell in zip(jobs, cells, strict=True)
            ]
            for metric in metrics
        }

    def measured_metrics(self, run: str) -> Sequence[str]:
        """Return the names of all metrics of the run's counted attempts, in alphabetical order."""
        statement = (
            select(t.measurement.c.metric)
            .distinct()
            .join(t.attempt, and_(t.attempt.c.id == t.measurement.c.attempt_id, t.attempt.c.counted))
            .join(t.trial, t.trial.c.id == t.attempt.c.trial_id)
            .join(t.run_device, t.run_device.c.id == t.trial.c.run_device_id)
            .where(t.run_device.c.run_id == run, t.trial.c.kind != TrialKind.PROFILE.value)
        )
        with self._database.read() as connection:
            return sorted(connection.execute(statement).scalars())

    def excluded_cells(self, run: str) -> Sequence[ExcludedCell]:
        """Return the cells left out of the devices' plans, with the reasons."""
        statement = (
            select(t.device.c.name, t.excluded_cell.c.label, t.excluded_cell.c.reason)
            .join(t.run_device, t.run_device.c.id == t.excluded_cell.c.run_device_id)
            .join(t.device, t.device.c.id == t.run_device.c.device_id)
            .where(t.run_device.c.run_id == run)
            .order_by(t.run_device.c.id, t.excluded_cell.c.label)
        )
        with self._database.read() as connection:
            return [ExcludedCell(*row) for row in connection.execute(statement)]

    def proof_remarks(self, run: str) -> Sequence[CellRemark]:
        """Return the cells whose preflight kept no outputs, or clipped inputs, with the reasons."""
        with self._database.read() as connection:
            return proof_remarks(connection, run)

    def newest_run_with_results(self) -> str | None:
        """Return the id of the newest run with a measured trial, or None."""
        return self._newest(select(t.run.c.id))

    def earlier_run(self, sweep: str, but: str, started: datetime | None, ended: datetime | None) -> str | None:
        """Return the id of the newest other ended run of a sweep with a measured trial, or None."""
        statement = (
            select(t.run.c.id)
            .join(t.sweep, t.sweep.c.id == t.run.c.sweep_id)
            .where(t.sweep.c.name == sweep, t.run.c.id != but, t.run.c.finished_at.is_not(None))
        )
        if started is not None:
            statement = statement.where(t.run.c.started_at < started)
        if ended is not None:
            statement = statement.where(t.run.c.finished_at < ended)
        return self._newest(statement)

    def _newest(self, runs: Select[Any]) -> str | None:
        """Return the newest of the selected runs with a measured trial."""
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
        # An excluded run is compared where its id is given, and nowhere else.
        counts = t.run.c.excluded_at.is_(None)
        statement = runs.where(measured, counts).order_by(t.run.c.started_at.desc(), t.run.c.id.desc()).limit(1)
        with self._database.read() as connection:
            found: str | None = connection.execute(statement).scalar()
        return found

    def variant_parents(self, run: str) -> Mapping[tuple[str, str], str | None]:
        """Return the parent of each variant of the run's models, by model and variant. The first variant has None."""
        statement = (
            select(t.model.c.name.label("model"), t.model_variant.c.name, t.model_variant.c.parent)
            .join(t.model, t.model.c.id == t.model_variant.c.model_id)
            .join(t.run_model, t.run_model.c.model_id == t.model_variant.c.model_id)
            .where(t.run_model.c.run_id == run)
            # The caller keeps the last row of each name: that of the newest artifact.
            .order_by(t.model_variant.c.id)
        )
        with self._database.read() as connection:
            return {(row.model, row.name): row.parent for row in connection.execute(statement)}

    def cell_outputs(self, run: str) -> Sequence[CellOutputs]:
        """Return the outputs of the preflights of a run. Jobs without outputs are left out."""
        with self._database.read() as connection:
            rows = connection.execute(_OUTPUTS, {"run": run}).all()
        return [outputs_of(_cell(row), row) for row in rows]

    def cell_input_results(self, run: str) -> Sequence[CellInputResults]:
        """Return the results by input of a run's jobs: the preflight's, or else the first trial's with any."""
        found: dict[int, CellInputResults] = {}
        with self._database.read() as connection:
            for row in connection.execute(_INPUT_RESULTS, {"run": run}):
                encoding, count = InputEncoding(row.encoding), row._mapping["count"]  # `row.count` is a method
                results = CellInputResults(_cell(row), row.metric, row.dataset_sha256, encoding, count, row.data)
                found.setdefault(row.job_id, results)
        return list(found.values())

    def load_samples(self, attempt: int, metric: str) -> NDArray[np.unsignedinteger] | None:
        """Return the raw samples of an attempt's metric in order, or None without samples.

        The unit is the metric's. Raise StoreError if the stored samples are damaged.
        """
        # Imported late: only readers of raw samples need numpy.
        from device_worker.protocol.samples import CorruptSamples
        from orchestrator.store.values.codec import load_block

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


# Made once, as all statements about a whole run are: making one takes longer than reading a small run.
_RUN: BindParameter[str] = bindparam("run")
_JOBS: Select[Any] = (
    select(
        t.job.c.id,
        t.run_device.c.run_id,
        t.device.c.name.label("device"),
        t.model.c.name.label("model"),
        t.model_variant.c.name.label("variant"),
        t.model_variant.c.size_bytes,
        t.runtime.c.label.label("runtime"),
        t.runtime.c.source.label("runtime_source"),
        t.job.c.settings,
        t.job.c.series_id,
    )
    .join(t.run_device, t.run_device.c.id == t.job.c.run_device_id)
    .join(t.device, t.device.c.id == t.run_device.c.device_id)
    .join(t.model_variant, t.model_variant.c.id == t.job.c.variant_id)
    .join(t.model, t.model.c.id == t.model_variant.c.model_id)
    .join(t.runtime, t.runtime.c.id == t.job.c.runtime_id)
    .where(t.run_device.c.run_id == _RUN)
    .order_by(t.run_device.c.id, t.job.c.id)
)
_OUTPUTS: Select[Any] = (
    _JOBS.add_columns(t.preflight_output)
    .join(t.trial, t.trial.c.job_id == t.job.c.id)
    .join(t.attempt, and_(t.attempt.c.trial_id == t.trial.c.id, t.attempt.c.counted))
    .join(t.preflight_output, t.preflight_output.c.attempt_id == t.attempt.c.id)
)
_INPUT_RESULTS: Select[Any] = (
    _JOBS.add_columns(t.input_result, t.job.c.id.label("job_id"))
    .join(t.trial, t.trial.c.job_id == t.job.c.id)
    .join(t.attempt, and_(t.attempt.c.trial_id == t.trial.c.id, t.attempt.c.counted))
    .join(t.input_result, t.input_result.c.attempt_id == t.attempt.c.id)
    .order_by(t.trial.c.trial_index)
)


def _cell(row: Row[Any]) -> Cell:
    return Cell(row.run_id, row.device, row.model, row.variant, row.runtime, row.settings)


def _cell_result(
    named: tuple[Row[Any], Cell],
    metric: str,
    tally: Tally,
    proof: tuple[float | None, str | None, float | None],
    environments: tuple[Environment, ...],
) -> CellResult:
    job, cell = named
    accuracy, accuracy_metric, clipped_ratio = proof
    return CellResult(
        cell=cell,
        metric=metric,
        trial_values=tuple(tally.measured or tally.from_preflight),
        invalid=tally.invalid,
        failed=tally.failed,
        missing=tally.missing,
        size_bytes=job.size_bytes,
        accuracy=accuracy,
        rejected=tally.rejected,
        # A metric of preflights alone (accuracy) is not missing in the measure trials.
        without_metric=tally.without_metric if tally.measured or not tally.from_preflight else 0,
        shared=tally.shared,
        sources=tuple(tally.sources),
        unmeasured=tuple(tally.unmeasured),
        cautions=tuple(tally.cautions),
        accuracy_metric=accuracy_metric,
        clipped_ratio=clipped_ratio,
        failures=tuple(tally.failures),
        series=job.series_id,
        # A program or a server runs what it likes, without a hash: its build is unknown.
        builds=() if job.runtime_source in OF_UNKNOWN_BUILD else tuple(tally.builds),
        environments=environments,
    )
