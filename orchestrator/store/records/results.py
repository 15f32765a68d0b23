"""Read the results for comparisons: a value per counted trial, never pooled iterations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, select

from orchestrator.domain.build import Build, Environment
from orchestrator.domain.errors import StoreError
from orchestrator.domain.input_results import CellInputResults, InputEncoding
from orchestrator.domain.measurement import Cell, CellOutputs, CellResult
from orchestrator.domain.metric import POWER_METRICS, sampled_quantile
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.power import NO_ACCOUNT, OWN_SOURCE, UNRECORDED_SOURCE
from orchestrator.domain.remark import CellRemark
from orchestrator.domain.run import ExcludedCell, TrialState
from orchestrator.domain.runtime import OF_UNKNOWN_BUILD
from orchestrator.store.records.accuracies import accuracies_by_job, clipped_by_job
from orchestrator.store.records.environments import environments_of
from orchestrator.store.records.unkept import outputs_of, proof_remarks
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.engine import Database
from orchestrator.store.values.wording import describe_failure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(slots=True)
class _Tally:
    """Collect the values of a job's trials, and count the trials without a value by reason.

    Collect the reasons for missing figures, and for a metric of power the sources and the reasons for doubtful figures.
    """

    is_of_power: bool
    measured: list[float] = field(default_factory=list)
    from_preflight: list[float] = field(default_factory=list)
    invalid: int = 0
    failed: int = 0
    missing: int = 0
    without_metric: int = 0
    shared: int = 0
    rejected: str | None = None
    sources: dict[str, None] = field(default_factory=dict)  # in the order in which the trials name them
    unmeasured: dict[str, None] = field(default_factory=dict)
    cautions: dict[str, None] = field(default_factory=dict)
    failures: dict[str, None] = field(default_factory=dict)
    builds: dict[Build, None] = field(default_factory=dict)

    def add(self, row: Row[Any]) -> None:
        """Add a trial to the values or to the count of its reason."""
        state = TrialState(row.state)
        self._add_build(row)
        if row.kind == TrialKind.PREFLIGHT.value:
            if row.value is not None:
                self.from_preflight.append(row.value)
            if state is TrialState.FAILED:
                self.rejected = describe_failure(row.failure_kind, row.failure_message) or "its preflight failed"
        elif row.value is not None:
            self.measured.append(row.value)
            self.shared += row.exclusive is False  # None: a worker of an older release, which did not say
            self._add_source(row)
        elif state is TrialState.MEASURED:
            self._add_unmeasured(row)
        elif state is TrialState.SKIPPED:
            self.rejected = self.rejected or row.skip_reason or "its preflight failed"
        elif state is TrialState.INVALID:
            self.invalid += 1
        elif state is TrialState.FAILED:
            self._add_failure(row)
        elif state is not TrialState.SPARED:
            self.missing += 1

    def _add_unmeasured(self, row: Row[Any]) -> None:
        """Count a good trial without the metric, and note the reason, if the worker gave one."""
        self.without_metric += 1
        if row.absence is not None:
            self.unmeasured[row.absence] = None
        elif self.is_of_power:
            self.unmeasured[row.reason or row.energy_reason or NO_ACCOUNT] = None

    def _add_build(self, row: Row[Any]) -> None:
        """Note the bytes behind a value."""
        if row.value is not None:
            self.builds[Build(row.model_sha256, row.runtime_sha256, row.worker_sha256)] = None

    def _add_failure(self, row: Row[Any]) -> None:
        self.failed += 1
        if failure := describe_failure(row.failure_kind, row.failure_message):
            self.failures[failure] = None

    def _add_source(self, row: Row[Any]) -> None:
        """Note the power source of a value."""
        if self.is_of_power:
            # A value without a source, in an attempt with an account of power, was reported by the trial's program.
            nameless = UNRECORDED_SOURCE if row.account is None else OWN_SOURCE
            self.sources[row.source or nameless] = None
            if row.source and row.caution:
                self.cautions[row.caution] = None


class ResultTable:
    """Play the role `Results`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def cell_results(self, run: str, metric: str) -> Sequence[CellResult]:
        """Return a row for each job of a run, jobs without any value included."""
        with self._database.read() as connection:
            jobs = connection.execute(_jobs(run)).all()
            tallies = {job.id: _Tally(metric in POWER_METRICS) for job in jobs}
            for row in connection.execute(_trials(run, metric)):
                tallies[row.job_id].add(row)
            accuracies, clipped = accuracies_by_job(connection, run), clipped_by_job(connection, run)
            environments = environments_of(connection, run)
        return [
            replace(
                _cell_result(
                    job, metric, tallies[job.id], accuracies.get(job.id, (None, None)), environments[job.device]
                ),
                clipped_ratio=clipped.get(job.id),
            )
            for job in jobs
        ]

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
        statement = (
            _jobs(run)
            .add_columns(t.preflight_output)
            .join(t.trial, t.trial.c.job_id == t.job.c.id)
            .join(t.attempt, and_(t.attempt.c.trial_id == t.trial.c.id, t.attempt.c.counted))
            .join(t.preflight_output, t.preflight_output.c.attempt_id == t.attempt.c.id)
        )
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        return [outputs_of(_cell(row), row) for row in rows]

    def cell_input_results(self, run: str) -> Sequence[CellInputResults]:
        """Return the results by input of a run's jobs: the preflight's, or else the first trial's with any."""
        statement = (
            _jobs(run)
            .add_columns(t.input_result, t.job.c.id.label("job_id"))
            .join(t.trial, t.trial.c.job_id == t.job.c.id)
            .join(t.attempt, and_(t.attempt.c.trial_id == t.trial.c.id, t.attempt.c.counted))
            .join(t.input_result, t.input_result.c.attempt_id == t.attempt.c.id)
            .order_by(t.trial.c.trial_index)
        )
        found: dict[int, CellInputResults] = {}
        with self._database.read() as connection:
            for row in connection.execute(statement):
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
            t.runtime.c.source.label("runtime_source"),
            t.job.c.settings,
            t.job.c.series_id,
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
    """Return a query for every trial of a run.

    A row has the metric's value of the counted attempt, or the last failure of a failed trial.
    """
    counted, failed = t.attempt.alias("counted"), t.attempt.alias("failed")
    name = metric
    value: ColumnElement[Any] = t.measurement.c.value
    own = t.measurement.alias("own")
    quantile = sampled_quantile(metric)
    if quantile is not None:  # a trial may have reported a number under this very name
        name, value = quantile[0], func.coalesce(own.c.value, t.measurement.c[quantile[1]])
    later = t.attempt.alias("later")
    is_last = (
        ~select(later.c.id).where(later.c.trial_id == failed.c.trial_id, later.c.ordinal > failed.c.ordinal).exists()
    )
    statement = (
        select(
            t.trial.c.job_id,
            t.trial.c.kind,
            t.trial.c.state,
            t.trial.c.skip_reason,
            counted.c.exclusive,
            value.label("value"),
            t.measurement.c.source,
            t.measurement.c.model_sha256,
            t.measurement.c.runtime_sha256,
            t.measurement.c.worker_sha256,
            t.power_account.c.attempt_id.label("account"),
            t.power_account.c.reason,
            t.power_account.c.energy_reason,
            t.power_account.c.caution,
            t.absent_metric.c.reason.label("absence"),
            failed.c.failure_kind,
            failed.c.failure_message,
        )
        .join(t.run_device, t.run_device.c.id == t.trial.c.run_device_id)
        .outerjoin(counted, and_(counted.c.trial_id == t.trial.c.id, counted.c.counted))
        .outerjoin(t.measurement, and_(t.measurement.c.attempt_id == counted.c.id, t.measurement.c.metric == name))
        .outerjoin(t.power_account, t.power_account.c.attempt_id == counted.c.id)
        .outerjoin(
            t.absent_metric, and_(t.absent_metric.c.attempt_id == counted.c.id, t.absent_metric.c.metric == metric)
        )
        .outerjoin(
            failed,
            and_(failed.c.trial_id == t.trial.c.id, t.trial.c.state == TrialState.FAILED.value, is_last),
        )
        .where(t.run_device.c.run_id == run, t.trial.c.kind != TrialKind.PROFILE.value)
        .order_by(t.trial.c.job_id, t.trial.c.trial_index)
    )
    if quantile is None:
        return statement
    return statement.outerjoin(own, and_(own.c.attempt_id == counted.c.id, own.c.metric == metric))


def _cell(row: Row[Any]) -> Cell:
    return Cell(row.run_id, row.device, row.model, row.variant, row.runtime, row.settings)


def _cell_result(
    job: Row[Any],
    metric: str,
    tally: _Tally,
    accuracy: tuple[float | None, str | None],
    environments: tuple[Environment, ...],
) -> CellResult:
    return CellResult(
        cell=_cell(job),
        metric=metric,
        trial_values=tuple(tally.measured or tally.from_preflight),
        invalid=tally.invalid,
        failed=tally.failed,
        missing=tally.missing,
        size_bytes=job.size_bytes,
        accuracy=accuracy[0],
        rejected=tally.rejected,
        # A metric of preflights alone (accuracy) is not missing in the measure trials.
        without_metric=tally.without_metric if tally.measured or not tally.from_preflight else 0,
        shared=tally.shared,
        sources=tuple(tally.sources),
        unmeasured=tuple(tally.unmeasured),
        cautions=tuple(tally.cautions),
        accuracy_metric=accuracy[1],
        failures=tuple(tally.failures),
        series=job.series_id,
        # A program or a server runs what it likes, without a hash: its build is unknown.
        builds=() if job.runtime_source in OF_UNKNOWN_BUILD else tuple(tally.builds),
        environments=environments,
    )
