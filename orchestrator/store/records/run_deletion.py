"""Delete a run with all measurements, in transactions of bounded size.

The first transaction decides, excludes the run and records who deletes. An interrupted deletion therefore leaves a run
that no view shows, and that a repeated command finishes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, Table, delete, or_, select, update

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.run_words import Deletion
from orchestrator.store.records.exclusion import exclude_run
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.database_clock import database_time
from orchestrator.store.sql.engine import Database
from orchestrator.store.sql.upsert import insert_missing

_ATTEMPTS_AT_ONCE = 200
"""An attempt may have megabytes of samples."""
_ROWS_AT_ONCE = 5_000

_OF_ATTEMPTS = tuple(table for table in t.metadata.sorted_tables if "attempt_id" in table.c)
_PARTS_OF_RUN = (t.excluded_cell, t.event_offset)


def delete_run(database: Database, run: str, who: str) -> Deletion:
    """Delete a run by id. Raise ConfigError, with nothing deleted, for a run that others still need."""
    with database.write() as connection:
        _refuse_needed(connection, run)
        exclude_run(connection, run, "being deleted", who)
        _record(connection, run, who)
        name = connection.execute(select(t.run.c.name).where(t.run.c.id == run)).scalar_one()
    trials = _trials(run)
    measurements = attempts = 0
    while found := _some(database, select(t.attempt.c.id).where(t.attempt.c.trial_id.in_(trials)), _ATTEMPTS_AT_ONCE):
        with database.write() as connection:
            counts = {table.name: _delete(connection, table, "attempt_id", found) for table in _OF_ATTEMPTS}
            attempts += _delete(connection, t.attempt, "id", found)
        measurements += counts["measurement"]
    trial_count = 0
    while found := _some(database, trials, _ROWS_AT_ONCE):
        with database.write() as connection:
            trial_count += _delete(connection, t.trial, "id", found)
    with database.write() as connection:
        # Jobs of a plan refer to each other, across the portions.
        alone = dict.fromkeys(("parent_job_id", "base_job_id", "first_job_id"))
        connection.execute(update(t.job).where(t.job.c.run_device_id.in_(_parts(run))).values(alone))
    while found := _some(database, _jobs(run), _ROWS_AT_ONCE):
        with database.write() as connection:
            _delete(connection, t.cell_value, "job_id", found)
            _delete(connection, t.job, "id", found)
    devices, annotations = _delete_head(database, run)
    return Deletion(run, name, devices, trial_count, attempts, measurements, annotations)


def _refuse_needed(connection: Connection, run: str) -> None:
    """Raise ConfigError for the run of a present baseline, of a regression, or of a lease that holds."""
    levels = select(t.baseline.c.name).where(t.baseline.c.run_id == run, t.baseline.c.superseded_at.is_(None))
    names = sorted(set(connection.execute(levels).scalars()))
    if names:
        raise ConfigError(
            f"run {run} is the level of baseline {', '.join(names)}",
            f"pin another run first: benchfleet baseline pin {names[0]} RUN --reason TEXT",
        )
    named = select(t.regression.c.id).where(
        or_(t.regression.c.candidate_run_id == run, t.regression.c.baseline_run_id == run)
    )
    regressions = sorted(connection.execute(named).scalars())
    if regressions:
        raise ConfigError(
            f"run {run} is the evidence of regression {', '.join(map(str, regressions[:5]))}",
            f"leave it out of views instead: benchfleet runs exclude {run} --reason TEXT",
        )
    held = select(t.lease.c.holder).where(
        t.lease.c.run_id == run, t.lease.c.ended_at.is_(None), t.lease.c.expires_at > database_time(connection)
    )
    holder = connection.execute(held).scalar()
    if holder is not None:
        raise ConfigError(f"run {run} holds a device for {holder}", f"benchfleet runs follow {run} collects it")


def _record(connection: Connection, run: str, who: str) -> None:
    statement = (
        select(t.run.c.name, t.run.c.started_at, t.sweep.c.name.label("sweep"))
        .join(t.sweep, t.sweep.c.id == t.run.c.sweep_id)
        .where(t.run.c.id == run)
    )
    row = connection.execute(statement).one()
    deleted = {"deleted_by": who, "deleted_at": database_time(connection)}
    named = {"run_id": run, "name": row.name, "sweep": row.sweep, "started_at": row.started_at}
    # Who began the deletion stays on record, whoever finishes it.
    insert_missing(connection, t.deleted_run, [{**named, **deleted}])


def _delete_head(database: Database, run: str) -> tuple[int, int]:
    """Delete the run itself with what names it. Return how many devices and annotations went."""
    with database.write() as connection:
        parts = list(connection.execute(_parts(run)).scalars())
        for table in _PARTS_OF_RUN:
            _delete(connection, table, "run_device_id", parts)
        devices = _delete(connection, t.run_device, "id", parts)
        # A quarantine stays: the device is as it was, whatever became of the record of the run.
        connection.execute(update(t.quarantine).where(t.quarantine.c.run_id == run).values(run_id=None))
        for table in (t.run_model, t.run_tag, t.raw_pruning, t.lease, t.recovery_event, t.baseline):
            _delete(connection, table, "run_id", [run])
        annotations = _delete(connection, t.annotation, "run_id", [run])
        _delete(connection, t.run, "id", [run])
    return devices, annotations


def _some(database: Database, statement: Select[Any], most: int) -> Sequence[int]:
    with database.read() as connection:
        return list(connection.execute(statement.limit(most)).scalars())


def _delete(connection: Connection, table: Table, column: str, values: Sequence[object]) -> int:
    return connection.execute(delete(table).where(table.c[column].in_(values))).rowcount


def _parts(run: str) -> Select[Any]:
    return select(t.run_device.c.id).where(t.run_device.c.run_id == run)


def _trials(run: str) -> Select[Any]:
    return select(t.trial.c.id).where(t.trial.c.run_device_id.in_(_parts(run)))


def _jobs(run: str) -> Select[Any]:
    return select(t.job.c.id).where(t.job.c.run_device_id.in_(_parts(run)))
