"""Insert a row or find the one that is there, in one statement, so that two controllers cannot both insert it."""

from __future__ import annotations

from collections.abc import Mapping
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
    """Return the id of the row with this unique `key`, its `values` as given; `once` is written only to a new row."""
    statement = _statement(connection.dialect.name, table, tuple(key), tuple(values))
    row: int = connection.execute(statement, {**key, **values, **(once or {})}).scalar_one()
    return row


@cache
def _statement(dialect: str, table: Table, key: tuple[str, ...], values: tuple[str, ...]) -> Any:
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as insert_postgres

        statement: Any = insert_postgres(table)
    else:
        from sqlalchemy.dialects.sqlite import insert as insert_sqlite

        statement = insert_sqlite(table)
    written = {name: statement.excluded[name] for name in (*key, *values)}
    return statement.on_conflict_do_update(index_elements=key, set_=written).returning(table.c.id)
