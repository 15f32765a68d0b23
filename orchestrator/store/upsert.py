"""Insert a row or find the one that is there, in one statement, so that two controllers cannot both insert it."""

from __future__ import annotations

from collections.abc import Mapping
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
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as insert_postgres

        statement: Any = insert_postgres(table)
    else:
        from sqlalchemy.dialects.sqlite import insert as insert_sqlite

        statement = insert_sqlite(table)
    statement = statement.values({**key, **values, **(once or {})})
    statement = statement.on_conflict_do_update(index_elements=list(key), set_={**key, **values})
    row: int = connection.execute(statement.returning(table.c.id)).scalar_one()
    return row
