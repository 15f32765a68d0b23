"""Copy all rows of a database into an empty one, of the same kind or of the other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, LargeBinary, Table, func, select, text
from sqlalchemy.exc import DBAPIError

from orchestrator.domain.errors import ConfigError, StoreError
from orchestrator.domain.schema_status import CopiedTable
from orchestrator.store.schema import tables as t
from orchestrator.store.schema.emptiness import tables_with_rows
from orchestrator.store.sql.bulk import insert_stream
from orchestrator.store.sql.column_types import canonical_json
from orchestrator.store.sql.database_clock import database_time
from orchestrator.store.sql.engine import Database
from orchestrator.store.sql.errors import from_driver

_ROWS_AT_ONCE, _BLOBS_AT_ONCE = 2_000, 4
"""How many rows a driver holds. A row of samples may have megabytes."""
_DIGEST_BITS = 128

OnTable = Callable[[str], None]


def refuse_rows(target: Database) -> None:
    """Raise ConfigError for a database with any row, and leave the database as it is."""
    if found := tables_with_rows(target):
        raise ConfigError(
            f"{target.shown}: the database is not empty: rows in {', '.join(found)}",
            "name an empty one; nothing was changed",
        )


def copy_rows(source: Database, target: Database, on_table: OnTable) -> Sequence[CopiedTable]:
    """Copy the rows of all tables in one transaction, and compare what arrived. Both schemas must be of this release.

    Raise ConfigError while a run has a device, and StoreError for rows that arrived otherwise: nothing is kept then.
    """
    with source.read() as reading, target.write() as writing:
        _refuse_runs(reading)
        if target.is_sqlite:
            # A job may refer to a later one: what must be there is looked at once, at the commit.
            writing.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        copied = []
        for table in t.metadata.sorted_tables:
            on_table(table.name)
            copied.append(_copy(table, _rows_of(source, reading, table), _rows_of(target, writing, table), writing))
        if not target.is_sqlite:
            _go_on_counting(writing)
    return copied


def _refuse_runs(source: Connection) -> None:
    """Raise ConfigError while a controller measures: its records of after the copy would be in one database alone."""
    lease = t.lease.c
    held = (
        select(t.device.c.name, lease.run_id, lease.holder)
        .join(t.device, t.device.c.id == lease.device_id)
        .where(lease.run_id.is_not(None), lease.granted_at.is_not(None), lease.ended_at.is_(None))
        .where(lease.expires_at > database_time(source))
        .order_by(t.device.c.name)
    )
    for row in source.execute(held.limit(1)):
        raise ConfigError(
            f"{row.name}: run {row.run_id} of {row.holder} has the device now",
            f"wait for its end, collect it (benchfleet runs follow {row.run_id}), or end it "
            f"(benchfleet runs cancel {row.run_id}); nothing was copied",
        )


def _copy(
    table: Table, rows: Iterator[tuple[Any, ...]], rows_there: Iterator[tuple[Any, ...]], target: Connection
) -> CopiedTable:
    left = _Digest()
    insert_stream(target, table, left.passing(rows), _at_once(table))
    arrived = _Digest()
    for _ in arrived.passing(rows_there):
        pass
    if (left.rows, left.total) != (arrived.rows, arrived.total):
        raise StoreError(
            f"{table.name}: {arrived.rows} rows arrived of {left.rows}, or not all as they were",
            "nothing was kept; please report this with `benchfleet db current` of both databases",
        )
    return CopiedTable(table.name, left.rows)


def _rows_of(database: Database, connection: Connection, table: Table) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a table. Raise StoreError, with the database that failed, for a driver's error."""
    try:
        result = connection.execute(select(table), execution_options={"yield_per": _at_once(table)})
        for row in result:
            yield tuple(row)
    except DBAPIError as error:
        # Two databases are open: without a word on which it was, the other one would be blamed.
        raise from_driver(error.orig or error, str(database.shown)) from error


def _at_once(table: Table) -> int:
    has_blobs = any(isinstance(column.type, LargeBinary) for column in table.columns)
    return _BLOBS_AT_ONCE if has_blobs else _ROWS_AT_ONCE


class _Digest:
    """Add up the hashes of rows, whatever their order: databases sort texts in different ways."""

    def __init__(self) -> None:
        self.rows = self.total = 0

    def passing(self, rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        """Yield rows, and count each."""
        for row in rows:
            self.rows += 1
            hashed = hashlib.blake2b(repr([_plain(value) for value in row]).encode(), digest_size=_DIGEST_BITS // 8)
            self.total = (self.total + int.from_bytes(hashed.digest(), "big")) % (1 << _DIGEST_BITS)
            yield row


def _plain(value: Any) -> Any:
    """Return a value in the form that is the same for both databases."""
    if isinstance(value, bytes | memoryview):
        return hashlib.blake2b(value).hexdigest()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict | list):
        return canonical_json(_whole_numbers(value))
    return value


def _whole_numbers(value: Any) -> Any:
    """Return JSON with whole numbers as such: PostgreSQL gives back 1e+22 as 10000000000000000000000."""
    if isinstance(value, dict):
        return {name: _whole_numbers(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _go_on_counting(target: Connection) -> None:
    """Let generated keys of PostgreSQL go on after the copied ones."""
    for table in t.metadata.sorted_tables:
        sequence = target.execute(_SEQUENCE, {"name": table.name}).scalar() if _has_generated_key(table) else None
        last = None if sequence is None else target.execute(select(func.max(table.c.id))).scalar()
        if last is not None:
            target.execute(select(func.setval(sequence, last)))


def _has_generated_key(table: Table) -> bool:
    return table.autoincrement_column is not None and table.autoincrement_column.name == "id"


_SEQUENCE = text("SELECT pg_get_serial_sequence(:name, 'id')")
