"""Find out whether anything is in a database, at any schema."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, inspect, literal_column, select, table

from orchestrator.store.sql.engine import Database
from orchestrator.store.sql.sqlite_access import is_there

_BOOKKEEPING = frozenset({"alembic_version"})


def tables_with_rows(database: Database) -> Sequence[str]:
    """Return the tables with a row, other programs' tables included, in alphabetical order."""
    # A look must not make the file: SQLite creates a missing database when a connection opens.
    if database.is_sqlite and not is_there(Path(str(database.url.database))):
        return []
    with database.read() as connection:
        names = sorted(set(inspect(connection).get_table_names()) - _BOOKKEEPING)
        return [name for name in names if _has_rows(connection, name)]


def _has_rows(connection: Connection, name: str) -> bool:
    return connection.execute(select(literal_column("1")).select_from(table(name)).limit(1)).first() is not None
