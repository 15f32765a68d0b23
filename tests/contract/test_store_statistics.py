"""A store that was written to leaves PostgreSQL with statistics for the next questions, and harms nobody by that."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from orchestrator.store.schema.statistics import ROWS_MIN, keep_statistics
from orchestrator.store.sql.engine import Database, parse_url
from orchestrator.store.store import open_store
from tests.databases import Databases, PostgresDatabases

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.rows import TupleRow

INSERT = "INSERT INTO sweep (name, sha256, document) SELECT {0!r} || n, '', '' FROM generate_series(1, {1}) AS n"


@pytest.fixture
def url(postgres_databases: PostgresDatabases) -> str:
    """A database that autovacuum leaves alone."""
    url = postgres_databases.migrated()
    tell(url, "ALTER TABLE sweep SET (autovacuum_enabled = off)")
    return url


def connect(url: str, *, autocommit: bool = False) -> Connection[TupleRow]:
    import psycopg  # the quick loop has no test of PostgreSQL, and would import the driver in vain

    return psycopg.connect(url, autocommit=autocommit)


def tell(url: str, *statements: str) -> None:
    with connect(plain(url), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
        # Counts of changes else wait for the session's end, and for somebody to notice.
        connection.execute("SELECT pg_stat_force_next_flush()")


def plain(url: str) -> str:
    return url.replace("+psycopg", "")


def looks(url: str, changed: int) -> int:
    """Return how often PostgreSQL has looked at the table, once the count of changes since then is at least this."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with connect(plain(url)) as connection:
            row = connection.execute(
                "SELECT analyze_count, n_mod_since_analyze FROM pg_stat_user_tables WHERE relname = 'sweep'"
            ).fetchone()
        if row is not None and row[1] >= changed:
            return int(row[0])
    raise AssertionError("PostgreSQL counted no changes")


def keep(url: str) -> None:
    with closing(Database(parse_url(url))) as database:
        keep_statistics(database)


@pytest.mark.system
def test_a_table_is_looked_at_again_once_it_has_grown_by_half(url: str) -> None:
    tell(url, INSERT.format("a", ROWS_MIN - 1))
    assert looks(url, ROWS_MIN - 1) == 0
    keep(url)
    assert looks(url, ROWS_MIN - 1) == 0, "a few rows are not worth it"
    tell(url, INSERT.format("b", 3 * ROWS_MIN))
    assert looks(url, 4 * ROWS_MIN - 1) == 0
    keep(url)
    assert looks(url, 0) == 1
    tell(url, INSERT.format("c", 2 * ROWS_MIN))
    assert looks(url, 2 * ROWS_MIN) == 1
    keep(url)
    assert looks(url, 2 * ROWS_MIN) == 1, "less than half of what was there, and the least number of rows"
    tell(url, INSERT.format("d", 2 * ROWS_MIN))
    assert looks(url, 4 * ROWS_MIN) == 1
    keep(url)
    assert looks(url, 0) == 2


@pytest.mark.system
def test_neither_a_lock_nor_a_reader_without_rights_is_in_the_way(url: str) -> None:
    tell(
        url,
        INSERT.format("a", 2 * ROWS_MIN),
        "CREATE ROLE reader LOGIN PASSWORD 'x'",
        "GRANT SELECT ON sweep TO reader",
    )
    looks(url, 2 * ROWS_MIN)
    with connect(plain(url)) as other:
        other.execute("LOCK TABLE sweep IN SHARE UPDATE EXCLUSIVE MODE")
        keep(url)
        assert looks(url, 2 * ROWS_MIN) == 0
    keep(parse_url(url).set(username="reader", password="x").render_as_string(hide_password=False))
    assert looks(url, 2 * ROWS_MIN) == 0
    keep(url)
    assert looks(url, 0) == 1


def fail_after_storing(url: str) -> float:
    with open_store(url) as store:
        return 1 / store.logs.offset("run", "device").last_seq


@pytest.mark.system
def test_a_store_looks_when_it_stored_something_and_ended_well(url: str) -> None:
    tell(url, INSERT.format("a", 2 * ROWS_MIN))
    looks(url, 2 * ROWS_MIN)
    with open_store(url) as store:
        store.runs.find_run("last")
    assert looks(url, 2 * ROWS_MIN) == 0, "it stored no record"
    with pytest.raises(ZeroDivisionError):
        fail_after_storing(url)
    assert looks(url, 2 * ROWS_MIN) == 0, "the database may be what failed"
    with open_store(url) as store:
        store.logs.offset("run", "device")
    assert looks(url, 0) == 1


def test_sqlite_is_left_alone(sqlite_databases: Databases) -> None:
    with closing(Database(parse_url(sqlite_databases.migrated()))) as database:
        keep_statistics(database)
        with database.read() as connection:
            assert not connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name LIKE 'sqlite_stat%'").all()
