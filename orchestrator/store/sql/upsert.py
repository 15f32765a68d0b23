"""Insert a row unless the row is there, in a single statement. Two controllers cannot both insert the row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table


def upsert(
    connection: Connection,
    table: Table,
    key: Mapping[str, Any],
    values: Mapping[str, Any],
    once: Mapping[str, Any] | None = None,
) -> int:
    """Insert or update the row with the unique `key`, and return the id.

    `values` are written in any case, `once` to a new row only. The keys of all three are column names.
    """
    statement = _statement(connection.dialect.name, table, tuple(key), tuple(values))
    row: int = connection.execute(statement, {**key, **values, **(once or {})}).scalar_one()
    return row


def upsert_all(connection: Connection, table: Table, key: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert or update rows with the same columns by the unique columns `key`, in the order given."""
    if rows:
        values = tuple(name for name in rows[0] if name not in key)
        connection.execute(_writing(connection.dialect.name, table, tuple(key), values), rows)


def insert_missing(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows with new unique keys. Rows of another writer's open transaction are waited for."""
    connection.execute(_insert(connection.dialect.name, table).on_conflict_do_nothing(), rows)


@cache
def _statement(dialect: str, table: Table, key: tuple[str, ...], values: tuple[str, ...]) -> Any:
    return _writing(dialect, table, key, values).returning(table.c.id)


@cache
def _writing(dialect: str, table: Table, key: tuple[str, ...], values: tuple[str, ...]) -> Any:
    statement = _insert(dialect, table)
    # The key is written too, unchanged: without an update RETURNING would give no id for an existing row.
    written = {name: statement.excluded[name] for name in (*key, *values)}
    return statement.on_conflict_do_update(index_elements=key, set_=written)


def _insert(dialect: str, table: Table) -> Any:
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as insert_postgres

        return insert_postgres(table)
    from sqlalchemy.dialects.sqlite import insert as insert_sqlite

    return insert_sqlite(table)
