"""Poolers share out a server's sessions: the rows are the same, and nobody else's session is changed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from orchestrator.domain.errors import ConfigError, StoreError
from orchestrator.store.console.readonly import open_console
from orchestrator.store.store import open_reader, open_store
from tests.contract.test_store_deliveries import LOGS, prepare
from tests.databases import PostgresDatabases, content
from tests.servers.errors import ServerUnavailable
from tests.servers.pgbouncer import PgBouncer

pytestmark = pytest.mark.system  # servers, and no part of the quick loop


@pytest.fixture(scope="module")
def pooler(postgres_databases: PostgresDatabases) -> Iterator[PgBouncer]:
    """One session of the server for all clients: whatever one leaves in it, the next one finds."""
    try:
        with PgBouncer(postgres_databases.server) as started:
            yield started
    except ServerUnavailable as error:
        pytest.skip(str(error))


def ingest_all(url: str) -> None:
    with open_store(url) as store:
        prepare(store)
        for log in LOGS.values():
            for first in range(1, log.last_seq + 1, 3):
                store.logs.ingest([log.arrived(first, min(first + 2, log.last_seq))])


def test_a_pooler_of_transactions_gives_the_same_rows(postgres_databases: PostgresDatabases, pooler: PgBouncer) -> None:
    direct, pooled = postgres_databases.migrated(), postgres_databases.empty()
    ingest_all(direct)
    open_store(pooler.url(pooled), upgrade=True).close()  # the migrations too
    ingest_all(pooler.url(pooled))
    with open_store(direct) as one, open_store(pooler.url(pooled)) as other:
        assert content(other) == content(one)
        assert other.runs.find_run("run").header == one.runs.find_run("run").header  # type: ignore[union-attr]


def test_clients_of_one_session_do_not_meet(postgres_databases: PostgresDatabases, pooler: PgBouncer) -> None:
    url = pooler.url(postgres_databases.migrated())
    ingest_all(url)
    with open_reader(url) as reader, open_store(url) as store, ThreadPoolExecutor(6) as threads:
        known = [store.runs.find_run("run")] * 60
        roles = [reader, store] * 30
        assert list(threads.map(lambda one: one.runs.find_run("run"), roles)) == known
        store.words.write_note("run", "noted", "ann@lab")


def test_the_console_reads_alone_in_bounded_time_and_leaves_nothing_in_the_session(
    postgres_databases: PostgresDatabases, pooler: PgBouncer
) -> None:
    import psycopg

    url = pooler.url(postgres_databases.migrated())
    watched = (
        "SELECT name, setting, source FROM pg_settings WHERE name IN ('statement_timeout', 'lock_timeout', 'role',"
    )
    watched += " 'default_transaction_read_only', 'TimeZone', 'extra_float_digits') ORDER BY 1"
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True, prepare_threshold=None) as neighbour:
        before = neighbour.execute(watched).fetchall()
        with closing(open_console(url, timeout_s=0.5)) as console:
            for _ in range(8):  # more often than a driver waits before it prepares a statement by name
                assert list(console.query("SELECT current_setting('transaction_read_only')")[1]) == [("on",)]
                assert neighbour.execute(watched).fetchall() == before
            assert list(console.query("SHOW statement_timeout")[1]) == [("500ms",)]
            with pytest.raises(ConfigError, match="longer than"):
                list(console.query("SELECT pg_sleep(30)")[1])
            with pytest.raises(ConfigError):
                list(console.query("WITH gone AS (DELETE FROM device RETURNING 1) SELECT * FROM gone")[1])
        neighbour.execute("CREATE TABLE of_the_neighbour ()")
        assert neighbour.execute(watched).fetchall() == before


def test_a_lock_is_waited_for_in_bounded_time_behind_a_pooler(
    postgres_databases: PostgresDatabases, pooler: PgBouncer
) -> None:
    url = pooler.url(postgres_databases.migrated())
    with open_store(url) as store:
        with store.database.write() as connection:
            assert connection.exec_driver_sql("SHOW lock_timeout").scalar_one() == "30s"
            assert connection.exec_driver_sql("SHOW statement_timeout").scalar_one() == "0"
        with store.database.read() as connection:
            assert connection.exec_driver_sql("SHOW transaction_isolation").scalar_one() == "repeatable read"


def test_a_pooler_of_statements_is_named(postgres_databases: PostgresDatabases) -> None:
    server_url = postgres_databases.migrated()
    try:
        with PgBouncer(postgres_databases.server, mode="statement") as started:
            with pytest.raises(StoreError, match="single statements") as raised:
                open_store(started.url(server_url))
            assert "transaction or session mode" in str(raised.value.hint)
    except ServerUnavailable as error:
        pytest.skip(str(error))


def test_what_is_asked_of_a_pooler_and_refused_is_named(
    postgres_databases: PostgresDatabases, pooler: PgBouncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = pooler.url(postgres_databases.migrated())
    with pytest.raises(StoreError, match="takes no `options`"):
        open_store(f"{url}?options=-csearch_path%3Dpublic")
    monkeypatch.setenv("PGOPTIONS", "-c search_path=public")
    with pytest.raises(StoreError, match="takes no `options`") as raised:
        open_store(url)
    assert "PGOPTIONS" in str(raised.value.hint)


@pytest.mark.parametrize("lock", ["", "-clock_timeout%3D7s"])
def test_options_of_a_url_are_kept_and_the_limit_with_them(postgres_databases: PostgresDatabases, lock: str) -> None:
    url = f"{postgres_databases.migrated()}?options=-csearch_path%3Dpublic,pg_catalog%20{lock}"
    with open_store(url) as store, store.database.write() as connection:
        assert connection.exec_driver_sql("SHOW search_path").scalar_one() == "public,pg_catalog"
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar_one() == ("7s" if lock else "30s")
