"""An SQLite of before 3.38, as Ubuntu 22.04 and RHEL 9 have, reads the schema: one line too new hides every table."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.store.schema.views import VIEWS

NEWER = ("->", "->>", "json_error_position", "unixepoch", "concat", "concat_ws", "string_agg", "octet_length")
"""Functions and operators that SQLite got with 3.38 and later."""


@pytest.fixture
def connection(database_file: Path) -> Iterator[sqlite3.Connection]:
    """A database of this version, in which nothing newer than SQLite 3.37 can be used."""

    def authorize(action: int, _first: str | None, name: str | None, *_rest: object) -> int:
        is_newer = action == sqlite3.SQLITE_FUNCTION and name in NEWER
        return sqlite3.SQLITE_DENY if is_newer else sqlite3.SQLITE_OK

    with closing(sqlite3.connect(database_file)) as opened:
        opened.set_authorizer(authorize)
        yield opened


def test_what_is_newer_is_refused_here(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
        connection.execute("SELECT '[1]' ->> 0")


@pytest.mark.parametrize("view", [view.name for view in VIEWS])
def test_each_view_is_made_of_what_an_older_sqlite_has(connection: sqlite3.Connection, view: str) -> None:
    assert connection.execute(f"SELECT * FROM {view}").fetchall() == []
