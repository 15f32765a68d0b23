"""Delete the raw samples of runs, and contents that no submission names, in transactions of bounded size.

The first transaction of a run records who prunes. An interrupted pruning therefore leaves a run that says so, and that
a repeated command finishes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Table, and_, bindparam, delete, func, insert, or_, select, update

from orchestrator.domain.pruning import ABANDONED, Keeping, Pruned, RawSamples
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.database_clock import database_time
from orchestrator.store.sql.engine import Database

_ATTEMPTS_AT_ONCE = 200
"""As in `run_deletion`: an attempt may have megabytes of samples."""
_CHUNKS_AT_ONCE = 20


class RetentionTable:
    """Play the role `Retention`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pruned(self, run: str) -> Pruned | None:
        """Return who pruned a run and when, or None."""
        with self._database.read() as connection:
            row = connection.execute(_LOG, {"run": run}).one_or_none()
        return None if row is None else Pruned(row.pruned_by, row.pruned_at)

    def old_runs(self, before: datetime) -> tuple[Mapping[str, datetime], Mapping[str, Keeping]]:
        """Return the runs begun before a moment that may be pruned, the oldest first, and those that keep samples."""
        kept: dict[str, Keeping] = {}
        free: dict[str, datetime] = {}
        with self._database.read() as connection:
            needed = _needed(connection)
            for row in connection.execute(_OLD, {"before": before}):
                reason = Keeping.UNDER_WAY if row.finished_at is None else needed.get(row.id)
                if reason is None:
                    free[row.id] = row.started_at
                else:
                    kept[row.id] = reason
        return free, kept

    def raw_samples(self, run: str) -> RawSamples:
        """Return how many blocks of raw samples and readings a run has."""
        with self._database.read() as connection:
            counts = [_counted(connection, table, _attempts(table, run)) for table in _SIZES]
        return sum(counts, RawSamples())

    def prune(self, run: str, who: str) -> RawSamples:
        """Delete the raw samples of a run, and return how many went.

        A run that others need, or that goes on, is left alone, also in the middle.
        """
        gone = RawSamples()
        with self._database.write() as connection:
            if not _lock_free(connection, run):
                return gone
            _begin(connection, run, who)
        while True:
            with self._database.write() as connection:
                if not _lock_free(connection, run):
                    return gone
                part = _prune_some(connection, run)
                if part is None:
                    connection.execute(_FINISH, {"of": run, "now": database_time(connection)})
                    return gone
                gone += part

    def abandoned(self) -> Sequence[str]:
        """Return the contents that no submission and no schedule names, by hash, whose upload began long ago."""
        with self._database.read() as connection:
            return list(connection.execute(_UNNAMED, {"before": database_time(connection) - ABANDONED}).scalars())

    def stored(self, sha256: str) -> RawSamples:
        """Return the chunks of a content and their bytes."""
        with self._database.read() as connection:
            return RawSamples(*connection.execute(_CHUNKS, {"sha256": sha256}).one())

    def drop(self, sha256: str) -> RawSamples:
        """Delete an abandoned content. One that is named, or sent again, by now is left alone."""
        gone = RawSamples()
        while True:
            with self._database.write() as connection:
                # In this order the row is locked: a submission that names it meanwhile waits, and finds it incomplete.
                # By a statement of its own: PostgreSQL evaluates no condition again on a row that was only locked.
                connection.execute(_LOCK_BLOB, {"of": sha256})
                before = database_time(connection) - ABANDONED
                if not connection.execute(_UNFINISH, {"of": sha256, "before": before}).rowcount:
                    return gone
                places = list(connection.execute(_PLACES.limit(_CHUNKS_AT_ONCE), {"sha256": sha256}).scalars())
                if not places:
                    connection.execute(delete(t.stored_blob).where(t.stored_blob.c.sha256 == sha256))
                    return gone
                some = and_(t.blob_chunk.c.sha256 == sha256, t.blob_chunk.c.position.in_(places))
                size = func.coalesce(func.sum(func.length(t.blob_chunk.c.content)), 0)
                gone += RawSamples(len(places), int(connection.execute(select(size).where(some)).scalar_one()))
                connection.execute(delete(t.blob_chunk).where(some))

    def vacuum(self) -> None:
        """Give free room of the database back to the disk."""
        self._database.execute_alone("VACUUM" if self._database.is_sqlite else _VACUUM)


def _begin(connection: Connection, run: str, who: str) -> None:
    """Record who prunes a run. Whoever began an interrupted pruning stays on record."""
    log = connection.execute(_LOG, {"run": run}).one_or_none()
    begun = {"pruned_by": who, "pruned_at": database_time(connection), "finished_at": None}
    if log is None:
        connection.execute(insert(t.raw_pruning), {"run_id": run, **begun, "blocks": 0, "size_bytes": 0})
    elif log.finished_at is not None:
        # Extended since: the later pruning is the one that people ask about.
        connection.execute(update(t.raw_pruning).where(t.raw_pruning.c.run_id == run).values(begun))


def _lock_free(connection: Connection, run: str) -> bool:
    """Lock a run until the transaction's end, and return True if the samples may go."""
    row = connection.execute(_LOCK_RUN, {"run": run}).one_or_none()
    return row is not None and row.finished_at is not None and run not in _needed(connection)


def _prune_some(connection: Connection, run: str) -> RawSamples | None:
    """Delete a portion, and return what went, or None once nothing is left."""
    for table in _SIZES:
        found = list(connection.execute(_attempts(table, run).limit(_ATTEMPTS_AT_ONCE)).scalars())
        if found:
            gone = _counted(connection, table, found)
            connection.execute(delete(table).where(table.c.attempt_id.in_(found)))
            connection.execute(_COUNT, {"of": run, "more": gone.blocks, "more_bytes": gone.size_bytes})
            return gone
    return None


def _needed(connection: Connection) -> Mapping[str, Keeping]:
    regressions = [*connection.execute(_CANDIDATES).scalars(), *connection.execute(_BASES).scalars()]
    levels = connection.execute(_LEVELS).scalars()
    return {**dict.fromkeys(regressions, Keeping.REGRESSION), **dict.fromkeys(levels, Keeping.BASELINE)}


def _attempts(table: Table, run: str) -> Select[Any]:
    return (
        select(table.c.attempt_id)
        .join(t.attempt, t.attempt.c.id == table.c.attempt_id)
        .join(t.trial, t.trial.c.id == t.attempt.c.trial_id)
        .join(t.run_device, t.run_device.c.id == t.trial.c.run_device_id)
        .where(t.run_device.c.run_id == run)
        .distinct()
    )


def _counted(connection: Connection, table: Table, attempts: Sequence[int] | Select[Any]) -> RawSamples:
    sizes = [func.coalesce(func.sum(func.length(column)), 0) for column in _SIZES[table]]
    row = connection.execute(select(func.count(), *sizes).where(table.c.attempt_id.in_(attempts))).one()
    return RawSamples(row[0], sum(map(int, row[1:])))


_SIZES: Mapping[Table, Sequence[Any]] = {
    t.sample_block: (t.sample_block.c.data,),
    t.power_trace: (t.power_trace.c.intervals_data, t.power_trace.c.values_data),
}
_VACUUM = "VACUUM FULL sample_block, power_trace, blob_chunk"
_LOG = select(t.raw_pruning).where(t.raw_pruning.c.run_id == bindparam("run"))
_OLD = (
    select(t.run.c.id, t.run.c.started_at, t.run.c.finished_at)
    .outerjoin(t.raw_pruning, t.raw_pruning.c.run_id == t.run.c.id)
    .where(
        t.run.c.started_at < bindparam("before"),
        # Extended since, a run has samples again.
        or_(t.raw_pruning.c.finished_at.is_(None), t.raw_pruning.c.finished_at < t.run.c.finished_at),
    )
    .order_by(t.run.c.started_at, t.run.c.id)
)
_LOCK_RUN = select(t.run.c.finished_at).where(t.run.c.id == bindparam("run")).with_for_update()
_OF_RUN = update(t.raw_pruning).where(t.raw_pruning.c.run_id == bindparam("of"))
_FINISH = _OF_RUN.values(finished_at=bindparam("now"))
_COUNT = _OF_RUN.values(
    blocks=t.raw_pruning.c.blocks + bindparam("more"), size_bytes=t.raw_pruning.c.size_bytes + bindparam("more_bytes")
)
_LEVELS = select(t.baseline.c.run_id).where(t.baseline.c.run_id.is_not(None), t.baseline.c.superseded_at.is_(None))
_CANDIDATES = select(t.regression.c.candidate_run_id).where(t.regression.c.candidate_run_id.is_not(None))
_BASES = select(t.regression.c.baseline_run_id).where(t.regression.c.baseline_run_id.is_not(None))
_IS_NAMED = or_(
    *(
        select(one.c.sha256).where(one.c.sha256 == t.stored_blob.c.sha256).exists()
        for one in (t.submission_file, t.schedule_file)
    )
)
_IS_ABANDONED = and_(t.stored_blob.c.begun_at < bindparam("before"), ~_IS_NAMED)
_UNNAMED = select(t.stored_blob.c.sha256).where(_IS_ABANDONED).order_by(t.stored_blob.c.sha256)
_CHUNKS = select(func.count(), func.coalesce(func.sum(func.length(t.blob_chunk.c.content)), 0)).where(
    t.blob_chunk.c.sha256 == bindparam("sha256")
)
_LOCK_BLOB = select(t.stored_blob.c.sha256).where(t.stored_blob.c.sha256 == bindparam("of")).with_for_update()
_UNFINISH = update(t.stored_blob).where(t.stored_blob.c.sha256 == bindparam("of"), _IS_ABANDONED).values(stored_at=None)
_PLACES = (
    select(t.blob_chunk.c.position)
    .where(t.blob_chunk.c.sha256 == bindparam("sha256"))
    .order_by(t.blob_chunk.c.position)
)
