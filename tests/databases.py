"""Databases for tests, of both kinds; migrated ones are copied from a template, because migrating takes its time."""

import itertools
import shutil
from functools import cached_property
from pathlib import Path
from typing import Protocol

from sqlalchemy import select

from orchestrator.store.schema import tables
from orchestrator.store.store import Store, open_store
from tests.servers.postgres import PostgresServer


class Databases(Protocol):
    """Makes databases of one kind."""

    kind: str

    def empty(self) -> str:
        """Return the URL of a database without tables."""

    def migrated(self) -> str:
        """Return the URL of a database with all tables and no rows."""


def clear(store: Store) -> None:
    """Delete every row; most tables have none, and one question tells which."""
    with store.database.write() as connection:
        has_rows = connection.exec_driver_sql(_WHICH_HAVE_ROWS).one()
        for name in (name for name, has_any in zip(_INNERMOST_FIRST, has_rows, strict=True) if has_any):
            connection.exec_driver_sql(f'DELETE FROM "{name}"')


# As text: a test in three begins so, and to put these statements together takes longer than to run them.
_INNERMOST_FIRST = [table.name for table in reversed(tables.metadata.sorted_tables)]
_WHICH_HAVE_ROWS = "SELECT " + ", ".join(f'EXISTS (SELECT 1 FROM "{name}")' for name in _INNERMOST_FIRST)


class SqliteDatabases:
    """Files in one folder."""

    kind = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()

    def empty(self) -> str:
        return f"sqlite:///{self._new()}"

    def migrated(self) -> str:
        file = self._new()
        self.copy_to(file)
        return f"sqlite:///{file}"

    def copy_to(self, file: Path) -> None:
        """Make a database with all tables and no rows in this place."""
        shutil.copyfile(self._template, file)

    def _new(self) -> Path:
        return self._folder / f"{next(self._numbers)}.db"

    @cached_property
    def _template(self) -> Path:
        file = self._folder / "template.db"
        open_store(str(file)).close()
        return file


class PostgresDatabases:
    """Databases of one server."""

    kind = "postgresql"

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self._numbers = itertools.count()

    def empty(self) -> str:
        return self.server.create_database(self._name())

    def migrated(self) -> str:
        import psycopg
        from psycopg import sql

        name, template = self._name(), self._template
        with psycopg.connect(self.server.url.replace("+psycopg", ""), autocommit=True) as connection:
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return self.server.url.rsplit("/", 1)[0] + f"/{name}"

    def _name(self) -> str:
        return f"store_{next(self._numbers)}"

    @cached_property
    def _template(self) -> str:
        name = self._name()
        open_store(self.server.create_database(name), upgrade=True).close()
        return name


def content(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """Return every row that ingested logs decide, by natural keys and without the controller's clock."""
    with store.database.read() as connection:
        rows = {table: connection.execute(select(table)).mappings().all() for table in _DECIDED_BY_LOGS}
        named = select(tables.run_device.c.id, tables.device.c.name).join(tables.device)
        parts = {row.id: row.name for row in connection.execute(named)}
    trials = {row["id"]: (parts[row["run_device_id"]], row["key"]) for row in rows[tables.trial]}
    attempts = {row["id"]: (trials[row["trial_id"]], row["ordinal"]) for row in rows[tables.attempt]}
    names = {"run_device_id": parts, "trial_id": trials, "attempt_id": attempts}
    return {
        table.name: sorted(
            (
                tuple(
                    names[column][value] if column in names else value
                    for column, value in row.items()
                    if column not in _UNDECIDED
                )
                for row in found
            ),
            key=repr,
        )
        for table, found in rows.items()
    }


_DECIDED_BY_LOGS = (
    tables.run_device,
    tables.event_offset,
    tables.trial,
    tables.attempt,
    tables.measurement,
    tables.sample_block,
    tables.sample_hist,
    tables.preflight_output,
)
_UNDECIDED = ("id", "stored_at", "job_id", "device_id", "snapshot_id")
