"""Lock a run, and exclude its results."""

from __future__ import annotations

from sqlalchemy import Connection, Update, bindparam, select, update

from orchestrator.domain.errors import ConfigError
from orchestrator.store.records.latest_values import point_past
from orchestrator.store.records.levels import REASON_MAX
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.database_clock import database_time
from orchestrator.store.values.hygiene import clean_text


def exclude_run(connection: Connection, run: str, reason: str, who: str) -> None:
    """Record an exclusion, within a transaction of the caller. An excluded run keeps the first reason."""
    # Locked: a run that begins again at the same time waits, and is under way or excluded, not both unseen.
    row = connection.execute(LOCK_RUN, {"run": run}).one()
    if row.finished_at is None:
        raise ConfigError(f"run {run} is under way", f"benchfleet runs cancel {run} ends it")
    if row.excluded_at is not None:
        return
    connection.execute(
        of_run(run).values(
            excluded_at=database_time(connection), excluded_by=who, excluded_reason=clean_text(reason, REASON_MAX)
        )
    )
    point_past(connection, run)


def of_run(run: str) -> Update:
    """Return the statement that updates a run's row, still without values."""
    return update(t.run).where(t.run.c.id == run)


LOCK_RUN = (
    select(t.run.c.finished_at, t.run.c.excluded_at, t.run.c.name, t.run.c.started_at)
    .where(t.run.c.id == bindparam("run"))
    .with_for_update()
)
"""Reads a run's state, and keeps others from changing the run until the end of the transaction."""
