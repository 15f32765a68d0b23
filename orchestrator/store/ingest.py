"""Store what devices' event logs say, exactly once: every record in the transaction that moves its log's offset.

The database is a function of the longest good beginning of each log, however it was cut into pieces, repeated or torn
on the way. A record that makes no sense stops its device's log there: it stays, with all that follow, on the device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.domain.conversation import RecordsArrived
from orchestrator.domain.errors import CorruptLog
from orchestrator.domain.run import Ingested
from orchestrator.store.engine import Database
from orchestrator.store.fencing import fenced_off
from orchestrator.store.log_reader import BadLog, LogKey, NewRecords, read_records
from orchestrator.store.log_writer import LogWriter, committed_offsets

_HINT = "the log is still on the device; benchfleet runs show {run} tells what is stored"


class LogIngest:
    """Takes batches of records into a database, under the writer's leases."""

    def __init__(self, database: Database, leases: Mapping[str, int] | None) -> None:
        self._database = database
        self._leases = leases

    def ingest(self, batch: Sequence[RecordsArrived]) -> list[Ingested]:
        """Store what is new of a batch; see `orchestrator.store.base.RunProgress`."""
        pieces: dict[LogKey, list[bytes]] = {}
        for arrived in batch:
            pieces.setdefault(LogKey(arrived.run, arrived.device, arrived.log_id), []).append(arrived.lines)
        with self._database.read() as connection:
            offsets = committed_offsets(connection, list(pieces))
        records = [read_records(key, pieces[key], offsets.get(key, 0)) for key in sorted(pieces)]
        try:
            for one in records:
                if one.bad is not None:
                    raise one.bad
            return self._store(records)
        except BadLog as bad:
            raise self._stop_at(bad, next(one for one in records if one.key == bad.key)) from None

    def _store(self, records: Sequence[NewRecords]) -> list[Ingested]:
        written = {(one.key.run, one.key.device) for one in records}
        with self._database.write() as connection:
            for lost in fenced_off(connection, written, self._leases).values():
                raise lost
            return LogWriter(connection).store(records)

    def _stop_at(self, bad: BadLog, records: NewRecords) -> CorruptLog:
        """Store what precedes a bad record in its log, and return what to say about it."""
        good = [event for event in records.events if event.seq < bad.seq]
        try:
            if good:
                self._store([NewRecords(bad.key, good)])
        except BadLog as earlier:
            return self._stop_at(earlier, records)
        return CorruptLog(
            bad.key.device, f"log record {bad.seq} cannot be stored: {bad.reason}", _HINT.format(run=bad.key.run)
        )
