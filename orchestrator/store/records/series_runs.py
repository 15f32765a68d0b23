"""Read the runs of a series: a value per counted trial, with builds and environments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, select, true

from orchestrator.domain.build import Build, Environment
from orchestrator.domain.metric import POWER_METRICS, sampled_quantile
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.run import TrialState
from orchestrator.domain.runtime import OF_UNKNOWN_BUILD
from orchestrator.domain.series import Series
from orchestrator.domain.series_history import RunOfSeries, Window
from orchestrator.store.records.named_series import NAMED_SERIES, series_in
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.engine import Database


class SeriesTable:
    """Play the role `SeriesRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find_series(
        self, ids: Collection[int] | None = None, device: str | None = None, variant: str | None = None
    ) -> Sequence[Series]:
        """Return the series with any of the ids, of a device and of a variant, in the order of ids. None: any."""
        statement: Select[Any] = (
            select(t.series.c.id.label("series_id"), *NAMED_SERIES)
            .join(t.device, t.device.c.id == t.series.c.device_id)
            .join(t.model, t.model.c.id == t.series.c.model_id)
            .where(
                true() if ids is None else t.series.c.id.in_(sorted(ids)),
                true() if device is None else t.device.c.name == device,
                true() if variant is None else t.series.c.variant == variant,
            )
            .order_by(t.series.c.id)
        )
        with self._database.read() as connection:
            found = [series_in(row) for row in connection.execute(statement)]
        return [one for one in found if one is not None]

    def runs_of(self, series: int, metric: str, window: Window) -> tuple[Sequence[RunOfSeries], int]:
        """Return the runs of a series within a window, the oldest first, and how many more the window has."""
        with self._database.read() as connection:
            newest = connection.execute(_jobs(series, window).limit(window.limit)).all()
            more = 0
            # Runs can be left out by a full answer alone, and counting walks the whole series.
            if len(newest) == window.limit:
                counted = select(func.count()).select_from(_jobs(series, window).order_by(None).subquery())
                more = connection.execute(counted).scalar_one() - window.limit
            trials: dict[int, list[Row[Any]]] = {}
            for row in _in_parts(connection, metric, [job.id for job in newest]):
                trials.setdefault(row.job_id, []).append(row)
            nights = _nights(connection, [job.run_id for job in newest])
        is_of_power = metric in POWER_METRICS
        return [_run(job, trials.get(job.id, []), nights, is_of_power) for job in reversed(newest)], more

    def environments(self, snapshots: Collection[int]) -> Mapping[int, Environment]:
        """Return the environments of snapshots, by id. Unknown ids are left out."""
        statement = select(t.device_snapshot).where(t.device_snapshot.c.id.in_(sorted(snapshots)))
        with self._database.read() as connection:
            return {
                row.id: Environment(row.identity_hash, row.environment_hash, row.facts)
                for row in connection.execute(statement)
            }

    def measured_metrics(self, series: int) -> Sequence[str]:
        """Return the metrics with a value in a series, in alphabetical order."""
        statement = select(t.latest_value.c.metric).distinct().where(t.latest_value.c.series_id == series)
        with self._database.read() as connection:
            return sorted(connection.execute(statement).scalars())


_JOBS_AT_ONCE = 500
"""SQLite takes few values in one statement, and its planner has to walk the list."""


def _jobs(series: int, window: Window) -> Select[Any]:
    """Return a query for the jobs of a series within a window, the newest run first."""
    return (
        select(
            t.job.c.id,
            t.run.c.id.label("run_id"),
            t.run.c.started_at,
            t.run_device.c.snapshot_id,
            t.device_snapshot.c.identity_hash,
            t.device_snapshot.c.environment_hash,
            t.runtime.c.source.label("runtime_source"),
        )
        .join(t.run_device, t.run_device.c.id == t.job.c.run_device_id)
        .join(t.run, t.run.c.id == t.run_device.c.run_id)
        .join(t.runtime, t.runtime.c.id == t.job.c.runtime_id)
        .outerjoin(t.device_snapshot, t.device_snapshot.c.id == t.run_device.c.snapshot_id)
        .where(
            t.job.c.series_id == series,
            true() if window.since is None else t.run.c.started_at >= window.since,
            true() if window.until is None else t.run.c.started_at < window.until,
            t.run.c.excluded_at.is_(None) if window.run is None else t.run.c.id == window.run,
        )
        # Of equal times the greater id is the newer, as in latest_value.
        .order_by(t.run.c.started_at.desc(), t.run.c.id.desc())
    )


def _in_parts(connection: Connection, metric: str, jobs: Sequence[int]) -> Iterable[Row[Any]]:
    for first in range(0, len(jobs), _JOBS_AT_ONCE):
        yield from connection.execute(_trials(metric, jobs[first : first + _JOBS_AT_ONCE]))


def _trials(metric: str, jobs: Sequence[int]) -> Select[Any]:
    """Return a query for the trials of jobs, with the metric's value of the counted attempt."""
    own = t.measurement.alias("own")
    name = metric
    value: ColumnElement[Any] = t.measurement.c.value
    quantile = sampled_quantile(metric)
    if quantile is not None:  # a trial may have reported a number under this very name
        name, value = quantile[0], func.coalesce(own.c.value, t.measurement.c[quantile[1]])
    statement = (
        select(
            t.trial.c.job_id,
            t.trial.c.kind,
            t.trial.c.state,
            value.label("value"),
            t.measurement.c.source,
            t.measurement.c.model_sha256,
            t.measurement.c.runtime_sha256,
            t.measurement.c.worker_sha256,
        )
        .outerjoin(t.attempt, and_(t.attempt.c.trial_id == t.trial.c.id, t.attempt.c.counted))
        .outerjoin(t.measurement, _measured(t.measurement, name))
        .where(t.trial.c.job_id.in_(jobs))
        .order_by(t.trial.c.job_id, t.trial.c.trial_index)
    )
    return statement if quantile is None else statement.outerjoin(own, _measured(own, metric))


def _measured(measurement: Any, metric: str) -> ColumnElement[bool]:
    return and_(measurement.c.attempt_id == t.attempt.c.id, measurement.c.metric == metric)


def _nights(connection: Connection, runs: Sequence[str]) -> Mapping[str, tuple[str, str]]:
    """Return the night and the stage of each run of a night."""
    found: dict[str, tuple[str, str]] = {}
    for first in range(0, len(runs), _JOBS_AT_ONCE):
        part = runs[first : first + _JOBS_AT_ONCE]
        statement = select(t.night_run).where(t.night_run.c.run_id.in_(part))
        found |= {row.run_id: (row.night_id, row.stage) for row in connection.execute(statement)}
    return found


def _run(
    job: Row[Any], trials: Sequence[Row[Any]], nights: Mapping[str, tuple[str, str]], is_of_power: bool
) -> RunOfSeries:
    measured = [row for row in trials if row.value is not None]
    by_kind = {kind: list(rows) for kind, rows in groupby(sorted(measured, key=_kind), key=_kind)}
    # Accuracy is measured by preflights alone.
    counted = by_kind.get(TrialKind.MEASURE.value) or by_kind.get(TrialKind.PREFLIGHT.value, [])
    # A program or a server runs what it likes, without a hash: its build is unknown.
    is_program = job.runtime_source in OF_UNKNOWN_BUILD
    builds = () if is_program else tuple(dict.fromkeys(map(_build, counted)))
    night, stage = nights.get(job.run_id, (None, None))
    states = Counter(TrialState(row.state) for row in trials if row.kind == TrialKind.MEASURE.value)
    return RunOfSeries(
        run=job.run_id,
        started_at=job.started_at,
        trial_values=tuple(row.value for row in counted),
        states=states,
        snapshot=job.snapshot_id,
        hashes=None if job.identity_hash is None else (job.identity_hash, job.environment_hash),
        builds=builds,
        night=night,
        stage=stage,
        sources=tuple(dict.fromkeys(row.source for row in counted if row.source)) if is_of_power else (),
    )


def _kind(row: Row[Any]) -> str:
    return str(row.kind)


def _build(row: Row[Any]) -> Build:
    return Build(row.model_sha256, row.runtime_sha256, row.worker_sha256)
