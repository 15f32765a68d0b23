"""Store the records of device logs exactly once, in the same transaction as the new offset of the log.

The database is a function of the longest good beginning of each log. Pieces, repetitions and tears on the way do not
matter. A bad record stops the device's log. The bad record and all later records stay on the device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import and_, select

from orchestrator.domain.conversation import RecordsArrived
from orchestrator.domain.errors import CorruptLog
from orchestrator.domain.run import Ingested, Offset, PreparedRecords
from orchestrator.store.ingest.log_reader import BadLog, LogKey, NewRecords, read_records
from orchestrator.store.ingest.log_writer import LogWriter, committed_offsets
from orchestrator.store.ingest.work import SHORT, Work
from orchestrator.store.records.fencing import fenced_off
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.engine import Database

_HINT = "the log is still on the device; benchfleet runs show {run} tells what is stored"


class LogIngest:
    """Play the role `DeviceLogs`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def offset(self, run: str, device: str) -> Offset:
        """Return the last committed record of a device's present log."""
        statement = (
            select(t.event_offset.c.log_id, t.event_offset.c.last_seq)
            .join(
                t.run_device,
                and_(
                    t.run_device.c.id == t.event_offset.c.run_device_id,
                    t.run_device.c.log_id == t.event_offset.c.log_id,
                ),
            )
            .join(t.device, t.device.c.id == t.run_device.c.device_id)
            .where(t.run_device.c.run_id == run, t.device.c.name == device)
        )
        with self._database.read() as connection:
            found = connection.execute(statement).one_or_none()
        return Offset(found.log_id, found.last_seq) if found else Offset(None, 0)

    def ingest(
        self, batch: Sequence[RecordsArrived], leases: Mapping[str, int] | None = None, *, short_only: bool = False
    ) -> Sequence[Ingested]:
        """Store the new records of a batch exactly once, in the same transaction as the offsets of the logs."""
        return self._store_good(self._read(batch, SHORT if short_only else None), leases)

    def prepare(self, arrived: RecordsArrived) -> PreparedRecords:
        """Read and check records without writing any. Safe in another thread, beside any other call."""
        (records,) = self._read([arrived], None)
        return PreparedRecords(arrived.run, arrived.device, records)

    def ingest_prepared(self, prepared: PreparedRecords, leases: Mapping[str, int] | None = None) -> Ingested:
        """Store prepared records as `ingest` does. Records stored since are ignored."""
        assert isinstance(prepared.content, NewRecords)
        (ingested,) = self._store_good([prepared.content], leases)
        return ingested

    def _read(self, batch: Sequence[RecordsArrived], bound: Work | None) -> list[NewRecords]:
        pieces: dict[LogKey, list[bytes]] = {}
        for arrived in batch:
            pieces.setdefault(LogKey(arrived.run, arrived.device, arrived.log_id), []).append(arrived.lines)
        with self._database.read() as connection:
            # Read outside of the writing transaction, so that decoding and checking do not hold up other writers.
            # The writer looks at the offsets again.
            offsets = committed_offsets(connection, list(pieces))
        return [read_records(key, pieces[key], offsets.get(key, 0), bound) for key in sorted(pieces)]

    def _store_good(self, records: Sequence[NewRecords], leases: Mapping[str, int] | None) -> Sequence[Ingested]:
        """Store records, or only the records before a bad one of a log. Raise CorruptLog for the bad record."""
        try:
            for one in records:
                if one.bad is not None:
                    raise one.bad
            return self._store(records, leases)
        except BadLog as bad:
            raise self._stop_at(bad, next(one for one in records if one.key == bad.key), leases) from None

    def _store(self, records: Sequence[NewRecords], leases: Mapping[str, int] | None) -> list[Ingested]:
        written = {(one.key.run, one.key.device) for one in records}
        with self._database.write() as connection:
            for lost in fenced_off(connection, written, leases).values():
                raise lost
            stored = LogWriter(connection).store(records)
        return [
            replace(ingested, left=one.left, left_is_long=one.left_is_long) if one.left else ingested
            for ingested, one in zip(stored, records, strict=True)
        ]

    def _stop_at(self, bad: BadLog, records: NewRecords, leases: Mapping[str, int] | None) -> CorruptLog:
        """Store the records before a bad record of the same log, and return the error for the bad record."""
        good = [event for event in records.events if event.seq < bad.seq]
        try:
            if good:
                self._store([NewRecords(bad.key, good)], leases)
        # The trials of the plan may refuse an earlier record, which the reader has found well-formed.
        except BadLog as earlier:
            return self._stop_at(earlier, records, leases)
        return CorruptLog(
            bad.key.device, f"log record {bad.seq} cannot be stored: {bad.reason}", _HINT.format(run=bad.key.run)
        )
