"""Read one cell of a run: the plan, the attempts, and the raw samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, select

from device_worker.protocol.samples import CorruptSamples
from device_worker.protocol.vocabulary import SourceKind
from orchestrator.domain.cell_details import AttemptDetails, CellDetails, PowerAccount, RunJob, Summary, TrialSamples
from orchestrator.domain.errors import StoreError
from orchestrator.domain.measurement import Cell
from orchestrator.domain.operator_profile import OperatorTime
from orchestrator.domain.plan.document import condition_limits
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.power_curve import PowerCurve
from orchestrator.domain.run import TrialState
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.engine import Database
from orchestrator.store.values.wording import describe_failure

AnyRow = Row[*tuple[Any, ...]]


class CellTable:
    """Play the role `Cells`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def cell(self, job: int) -> CellDetails | None:
        """Return a cell in full, or None for an unknown job."""
        with self._database.read() as connection:
            found = connection.execute(_JOB, {"job": job}).first()
            if found is None:
                return None
            # A statement for each kind of row: joined, an attempt would come once for each of its metrics.
            rows = connection.execute(_ATTEMPTS, {"job": job}).all()
            summaries = _by_attempt(connection.execute(_SUMMARIES, {"job": job}))
            powers = {row.attempt_id: _power(row) for row in connection.execute(_POWERS, {"job": job})}
            reasons = _reasons_by_attempt(connection.execute(_ABSENT, {"job": job}))
            trials = connection.execute(_TRIALS, {"job": job}).all()
            earlier, later = _neighbours(connection, found)
        measures = [row for row in trials if row.kind == TrialKind.MEASURE.value]
        return CellDetails(
            job=found.id,
            series=found.series_id,
            cell=Cell(found.run_id, found.device, found.model, found.variant, found.runtime, found.settings),
            label=found.label,
            artifact_sha256=found.sha256,
            artifact_format=found.format,
            size_bytes=found.size_bytes,
            precision=found.precision,
            made=found.made,
            parent=found.parent,
            attempts=tuple(
                _attempt(row, summaries.get(row.id, {}), powers.get(row.id), reasons.get(row.id, {})) for row in rows
            ),
            trials=Counter(TrialState(row.state) for row in measures),
            skipped=next((row.skip_reason for row in trials if row.skip_reason), None),
            earlier=earlier,
            later=later,
            limits={} if found.plan_document is None else condition_limits(found.plan_document),
        )

    def job_of_attempt(self, attempt: int) -> int | None:
        """Return the job of an attempt, or None for an unknown attempt."""
        statement = (
            select(t.trial.c.job_id)
            .join(t.attempt, t.attempt.c.trial_id == t.trial.c.id)
            .where(t.attempt.c.id == attempt)
        )
        with self._database.read() as connection:
            found: int | None = connection.execute(statement).scalar()
        return found

    def jobs_of(self, run: str) -> Sequence[RunJob]:
        """Return the cells of a run, in the order of the plans."""
        statement = (
            select(t.job.c.id, t.job.c.series_id, t.job.c.label, t.device.c.name, t.model.c.name.label("model"))
            .join(t.run_device, t.run_device.c.id == t.job.c.run_device_id)
            .join(t.device, t.device.c.id == t.run_device.c.device_id)
            .join(t.model_variant, t.model_variant.c.id == t.job.c.variant_id)
            .join(t.model, t.model.c.id == t.model_variant.c.model_id)
            .where(t.run_device.c.run_id == run)
            .order_by(t.job.c.id)
        )
        with self._database.read() as connection:
            rows = connection.execute(statement)
            return [RunJob(row.id, row.series_id, row.name, row.model, row.label) for row in rows]

    def operators(self, job: int) -> Sequence[OperatorTime]:
        """Return the operators of a cell's counted profile trial, the largest share first; none without a profile."""
        with self._database.read() as connection:
            rows = connection.execute(_OPERATORS, {"job": job}).all()
        return [
            OperatorTime(
                row.position, row.operator, row.name, row.placed_on, row.calls, row.runs, row.mean_ns, row.share
            )
            for row in rows
        ]

    def power_curves(self, job: int) -> Sequence[PowerCurve]:
        """Return the readings of power of the counted measure trials, in the order of trials and sources."""
        with self._database.read() as connection:
            rows = connection.execute(_TRACES, {"job": job}).all()
        try:
            return [_curve(row) for row in rows]
        except CorruptSamples as error:
            raise StoreError(f"power of job {job}: {error}", "the database is damaged: restore a backup") from None

    def samples(self, job: int, metric: str) -> Sequence[TrialSamples]:
        """Return the raw samples of the counted measure trials, in the order of trials."""
        # Late: numpy takes a tenth of a second, and few pages need samples.
        from orchestrator.store.values.codec import load_block

        with self._database.read() as connection:
            rows = connection.execute(_BLOCKS, {"job": job, "metric": metric}).all()
        try:
            return [
                TrialSamples(
                    row.attempt_id,
                    row.trial_index,
                    row.batch,
                    load_block(row.codec, bytes(row.data), row.crc32, row.number),
                )
                for row in rows
            ]
        except CorruptSamples as error:
            raise StoreError(f"samples of job {job}: {error}", "the database is damaged: restore a backup") from None


def _curve(row: AnyRow) -> PowerCurve:
    # Late: numpy takes a tenth of a second, and few pages need readings.
    import numpy as np

    from orchestrator.store.values.codec import load_block

    intervals_ns = load_block(row.intervals_codec, bytes(row.intervals_data), row.intervals_crc32, row.number)
    seconds = np.cumsum(intervals_ns, dtype=np.float64) / 1e9
    microwatts = load_block(row.values_codec, bytes(row.values_data), row.values_crc32, row.number).astype(np.float64)
    if row.power_kind == SourceKind.ENERGY_COUNTER:
        # Microjoules since the reading before: the first reading has none, and one at the same moment has no power.
        passed = np.flatnonzero(intervals_ns)
        seconds, microwatts = seconds[passed], microwatts[passed] / (intervals_ns[passed] / 1e9)
    return PowerCurve(
        row.attempt_id, row.trial_index, row.source, tuple(seconds.tolist()), tuple((microwatts / 1e6).tolist())
    )


def _neighbours(connection: Connection, job: AnyRow) -> tuple[int | None, int | None]:
    """Return the jobs of the same series in the runs before and after."""
    if job.series_id is None:
        return None, None
    # The unique index on series and run_device makes each a single step, however long the series is.
    # In the order of recording, which is that of the runs.
    same = select(t.job.c.id).where(t.job.c.series_id == job.series_id)
    before = same.where(t.job.c.run_device_id < job.run_device_id).order_by(t.job.c.run_device_id.desc()).limit(1)
    after = same.where(t.job.c.run_device_id > job.run_device_id).order_by(t.job.c.run_device_id).limit(1)
    return connection.execute(before).scalar(), connection.execute(after).scalar()


def _by_attempt(rows: Any) -> dict[int, dict[str, Summary]]:
    found: dict[int, dict[str, Summary]] = {}
    for row in rows:
        found.setdefault(row.attempt_id, {})[row.metric] = Summary(
            metric=row.metric,
            value=row.value,
            samples=row.n,
            p50_low=row.p50_ci_low,
            p50_high=row.p50_ci_high,
            p90=row.p90,
            p99=row.p99,
            smallest=row.min,
            largest=row.max,
            source=row.source,
        )
    return found


def _reasons_by_attempt(rows: Any) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    for row in rows:
        found.setdefault(row.attempt_id, {})[row.metric] = row.reason
    return found


def _attempt(
    row: AnyRow, metrics: Mapping[str, Summary], power: PowerAccount | None, absent: Mapping[str, str]
) -> AttemptDetails:
    return AttemptDetails(
        id=row.id,
        trial=row.key,
        kind=row.kind,
        trial_index=row.trial_index,
        trial_state=TrialState(row.state),
        ordinal=row.ordinal,
        outcome=row.outcome,
        counted=row.counted,
        invalid=tuple(str(word) for word in row.invalid or ()),
        failure=describe_failure(row.failure_kind, row.failure_message) or None,
        stderr=row.failure_stderr_tail,
        started_at=row.started_at,
        finished_at=row.finished_at,
        duration_ns=row.duration_ns,
        before=row.conditions_before or {},
        after=row.conditions_after or {},
        exclusive=row.exclusive,
        runtime=row.runtime_reported or {},
        metrics=metrics,
        power=power,
        absent=absent,
    )


def _power(row: AnyRow) -> PowerAccount:
    return PowerAccount(row.source, row.rate_hz, row.idle_w, row.reason, row.energy_reason, row.caution)


def _of_job(*columns: Any, further: Any = None) -> Select[Any]:
    """Return a query of the attempts of a job, in the order of trials and attempts. `further` has rows of attempts."""
    tables = t.attempt.join(t.trial, t.trial.c.id == t.attempt.c.trial_id)
    if further is not None:
        tables = tables.join(further, further.c.attempt_id == t.attempt.c.id)
    return (
        select(*columns)
        .select_from(tables)
        .where(t.trial.c.job_id == bindparam("job"))
        .order_by(t.trial.c.trial_index, t.attempt.c.ordinal)
    )


_JOB = (
    select(
        t.job.c.id,
        t.job.c.label,
        t.job.c.settings,
        t.job.c.series_id,
        t.job.c.run_device_id,
        t.run_device.c.run_id,
        t.run_device.c.plan_document,
        t.device.c.name.label("device"),
        t.model.c.name.label("model"),
        t.model_variant.c.name.label("variant"),
        t.model_variant.c.sha256,
        t.model_variant.c.format,
        t.model_variant.c.size_bytes,
        t.model_variant.c.precision,
        t.model_variant.c.made,
        t.model_variant.c.parent,
        t.runtime.c.label.label("runtime"),
    )
    .join(t.run_device, t.run_device.c.id == t.job.c.run_device_id)
    .join(t.device, t.device.c.id == t.run_device.c.device_id)
    .join(t.model_variant, t.model_variant.c.id == t.job.c.variant_id)
    .join(t.model, t.model.c.id == t.model_variant.c.model_id)
    .join(t.runtime, t.runtime.c.id == t.job.c.runtime_id)
    .where(t.job.c.id == bindparam("job"))
)
_TRIALS = select(t.trial.c.kind, t.trial.c.state, t.trial.c.skip_reason).where(t.trial.c.job_id == bindparam("job"))
_ATTEMPTS = _of_job(t.attempt, t.trial.c.key, t.trial.c.kind, t.trial.c.trial_index, t.trial.c.state)
_SUMMARIES = _of_job(t.measurement, further=t.measurement)
_POWERS = _of_job(t.power_account, further=t.power_account)
_OPERATORS = (
    _of_job(t.operator_profile, further=t.operator_profile)
    .where(t.attempt.c.counted, t.trial.c.kind == TrialKind.PROFILE.value)
    .order_by(t.operator_profile.c.position)
)
_ABSENT = _of_job(t.absent_metric, further=t.absent_metric)
_TRACES = (
    _of_job(
        t.power_trace.c.attempt_id,
        t.power_trace.c.source,
        t.power_trace.c.kind.label("power_kind"),
        t.power_trace.c["count"].label("number"),
        t.power_trace.c.intervals_codec,
        t.power_trace.c.intervals_crc32,
        t.power_trace.c.intervals_data,
        t.power_trace.c.values_codec,
        t.power_trace.c.values_crc32,
        t.power_trace.c.values_data,
        t.trial.c.trial_index,
        further=t.power_trace,
    )
    .where(t.attempt.c.counted, t.trial.c.kind == TrialKind.MEASURE.value)
    .order_by(t.power_trace.c.source)
)
_BLOCKS = _of_job(
    t.sample_block.c.attempt_id,
    t.sample_block.c.codec,
    t.sample_block.c.batch,
    t.sample_block.c.crc32,
    t.sample_block.c.data,
    # Not `count`: a row has a method of that name.
    t.sample_block.c.count.label("number"),
    t.trial.c.trial_index,
    further=t.sample_block,
).where(
    t.attempt.c.counted,
    t.trial.c.kind == TrialKind.MEASURE.value,
    t.sample_block.c.metric == bindparam("metric"),
)
