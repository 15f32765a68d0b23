"""The SQL console reads everything and changes nothing, whatever it is asked."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.domain.errors import ConfigError, StoreError
from orchestrator.domain.facts import Facts
from orchestrator.store.base import SqlConsole
from orchestrator.store.console.postgres_console import PostgresConsole
from orchestrator.store.console.readonly import open_console
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import FACTS, STARTED_AT, sample_device, save_snapshot
from tests.databases import Databases, content

pytestmark = pytest.mark.system  # slow, and no part of the quick loop

HOSTILE = {
    "sqlite": [
        "ATTACH DATABASE '/tmp/other.db' AS other",
        "PRAGMA query_only = OFF",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA user_version = 7",
        "PRAGMA writable_schema = ON",
        "PRAGMA temp_store_directory = '/tmp'",
        "SELECT * FROM pragma_query_only(0)",
        "CREATE TEMP TRIGGER sly AFTER INSERT ON device BEGIN DELETE FROM device; END",
        "DETACH DATABASE main",
        "SELECT readfile('/etc/passwd')",
        "SELECT edit('x', 'touch /tmp/owned')",
        "SELECT fts3_tokenizer('x', x'00')",
        "SELECT fts3_tokenizer('simple')",
        "SELECT * FROM fts3tokenize WHERE input = 'a b'",
        "SELECT count(*) FROM fts3tokenize WHERE input = 'a b'",
        "SELECT count(*) FROM sqlite_stmt",
        "SELECT count(*) FROM dbstat",
        "SELECT sqlite_log(1, 'x')",
        "SELECT length(replace(printf('%.*c', 5000, 'a'), 'a', printf('%.*c', 5000, 'b')))",
        "SELECT 'a' LIKE printf('%.*c', 2000, '%')",
        "SELECT load_extension('/tmp/evil.so')",
        "VACUUM INTO '/tmp/copy.db'",
        "REINDEX",
        "REPLACE INTO device (name, transport, tags, first_seen_at) VALUES ('x', 'ssh', '{}', '')",
        "SELECT writefile('/tmp/x', 'y')",
        "SELECT zeroblob(1000000000)",
    ],
    "postgresql": [
        "SELECT setval('device_id_seq', 99)",
        "SELECT nextval('device_id_seq')",
        "SELECT * FROM device FOR UPDATE",
        "SELECT * INTO stolen FROM device",
        "EXPLAIN ANALYZE DELETE FROM device_snapshot",
        "WITH gone AS (DELETE FROM device_snapshot RETURNING *) SELECT * FROM gone",
        "COPY device TO '/tmp/devices.csv'",
        "COPY (SELECT 1) TO PROGRAM 'touch /tmp/owned'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT pg_ls_dir('/')",
        "SELECT lo_create(0)",
        "SELECT * FROM dblink('dbname=postgres', 'SELECT 1') AS t(a int)",
        "CREATE EXTENSION dblink",
        "SET ROLE postgres",
        "RESET ROLE",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()",
        "SELECT pg_switch_wal()",
        "SELECT writes_rows()",
        "SELECT lo_export(1, '/tmp/out')",
        "SELECT pg_reload_conf()",
        "SELECT query_to_xml('DELETE FROM device_snapshot', true, true, '')",
        "SELECT set_config('transaction_read_only', 'off', true)",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "SET default_transaction_read_only = off",
        "DO $$ BEGIN DELETE FROM device_snapshot; END $$",
        "TRUNCATE device_snapshot",
        "LOCK TABLE device",
        "PREPARE sly AS DELETE FROM device_snapshot",
        "NOTIFY someone",
        "SELECT 1 /* unfinished",
    ],
}
ROLLED_BACK = ("SELECT set_config('transaction_read_only', 'off', true)", "SELECT lo_create(0)")
"""What some releases do not refuse; it is undone with its transaction."""

WRITING_FUNCTION = """
CREATE OR REPLACE FUNCTION writes_rows() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS
$$ INSERT INTO sweep (name, sha256, document) VALUES ('a', 'b', 'c') RETURNING id $$
"""
HOSTILE_EVERYWHERE = [
    "DELETE FROM device_snapshot",
    "UPDATE device SET name = 'mine'",
    "INSERT INTO sweep (name, sha256, document) VALUES ('a', 'b', 'c')",
    "WITH x AS (SELECT 1) INSERT INTO sweep (name, sha256, document) SELECT 'a', 'b', 'c' FROM x",
    "DROP TABLE device_snapshot",
    "DROP VIEW v_latest",
    "CREATE TABLE mine (a int)",
    "CREATE TEMPORARY TABLE mine (a int)",
    "CREATE VIEW mine AS SELECT 1",
    "ALTER TABLE device ADD COLUMN mine int",
    "SELECT 1; DELETE FROM device_snapshot",
    "SELECT 1; COMMIT; DELETE FROM device_snapshot",
    "COMMIT",
    "ROLLBACK",
    "BEGIN",
    "VACUUM",
    "ANALYZE",
    "",
    ";",
    "nonsense",
    "SELECT * FROM no_such_table",
]


@pytest.fixture
def console(store: Store) -> Iterator[SqlConsole]:
    for hours in range(3):
        save_snapshot(store, sample_device(), Facts(FACTS), STARTED_AT + timedelta(hours=hours))
    url = store.database.url
    opened = open_console(url.render_as_string(hide_password=False), timeout_s=5)
    yield opened
    opened.close()


def test_reads_tables_and_views(console: SqlConsole) -> None:
    columns, rows = console.query("SELECT d.name, count(*) AS snapshots FROM device d, device_snapshot GROUP BY 1")
    assert list(columns) == ["name", "snapshots"]
    assert [tuple(row) for row in rows] == [("pi-03", 3)]
    columns, rows = console.query("SELECT device, value FROM v_latest")
    assert (list(columns), list(rows)) == (["device", "value"], [])
    columns, rows = console.query("SELECT name FROM device", limit=0)
    assert (list(columns), list(rows)) == (["name"], [])


@pytest.mark.parametrize("statement", ["VALUES (1), (2)", "  -- why\n/* so */ SELECT 1", "EXPLAIN SELECT 1"])
def test_reads_in_every_way(console: SqlConsole, statement: str) -> None:
    _, rows = console.query(statement)
    assert list(rows)


def test_a_limit_stops_in_time(console: SqlConsole) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    _, rows = console.query(endless, limit=3)
    assert [tuple(row) for row in rows] == [(1,), (2,), (3,)]
    _, rows = console.query(endless, limit=0)
    assert list(rows) == []


def test_an_answer_may_be_left_unread(console: SqlConsole) -> None:
    console.query("SELECT * FROM device_snapshot")
    _, rows = console.query("SELECT * FROM device_snapshot")
    next(rows)
    _, rows = console.query("SELECT count(*) FROM device_snapshot")
    assert [tuple(row) for row in rows] == [(3,)]


@pytest.mark.parametrize("statement", HOSTILE_EVERYWHERE)
def test_statements_that_write_or_make_no_sense_are_refused(console: SqlConsole, store: Store, statement: str) -> None:
    with pytest.raises(ConfigError):
        list(console.query(statement)[1])
    unchanged(store)


def test_statements_of_this_database_that_do_harm_are_refused(
    console: SqlConsole, store: Store, databases: Databases
) -> None:
    if databases.kind == "postgresql":
        with store.database.write() as connection:
            connection.exec_driver_sql(WRITING_FUNCTION)
    before = content(store)
    for statement in HOSTILE[databases.kind]:
        try:
            rows = list(console.query(statement)[1])
        except ConfigError:
            continue
        finally:
            unchanged(store)
        assert statement in ROLLED_BACK, (statement, rows)
    assert content(store) == before
    if databases.kind == "postgresql":
        with store.database.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM pg_largeobject_metadata").scalar() == 0


def unchanged(store: Store) -> None:
    with store.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM device_snapshot").scalar() == 3
        assert connection.exec_driver_sql("SELECT name FROM device").scalars().all() == ["pi-03"]
        assert connection.exec_driver_sql("SELECT count(*) FROM sweep").scalar() == 0
        assert connection.exec_driver_sql("SELECT count(*) FROM v_latest").scalar() == 0


def test_the_console_still_cannot_write_after_an_attempt_to_unlock_it(
    console: SqlConsole, databases: Databases
) -> None:
    if databases.kind == "postgresql":
        unlock = "SELECT set_config('default_transaction_read_only', 'off', false)"
        list(console.query(unlock)[1])
        write = "WITH gone AS (DELETE FROM device_snapshot RETURNING *) SELECT * FROM gone"
    else:
        with pytest.raises(ConfigError):
            console.query("PRAGMA query_only = OFF")
        write = "DELETE FROM device_snapshot"
    with pytest.raises(ConfigError, match="only reading is possible"):
        list(console.query(write)[1])


def test_a_query_that_takes_too_long_is_ended(store: Store) -> None:
    console = open_console(store.database.url.render_as_string(hide_password=False), timeout_s=0.3)
    if isinstance(console, PostgresConsole):  # the limit cannot be lifted for what comes next either
        list(console.query("SELECT set_config('statement_timeout', '0', false)")[1])
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(ConfigError, match=r"longer than 0\.3 s"):
        list(console.query(endless)[1])
    assert [tuple(row) for row in console.query("SELECT 1")[1]] == [(1,)]
    console.close()


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no such database"):
        open_console(str(tmp_path / "none.db"))
    assert list(tmp_path.iterdir()) == []


def test_an_empty_database_is_not_upgraded(databases: Databases) -> None:
    url = databases.empty()
    if databases.kind == "sqlite":
        Path(url.removeprefix("sqlite:///")).touch()
    console = open_console(url)
    with pytest.raises(ConfigError, match="run"):
        console.query("SELECT * FROM run")
    console.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, " * 100)
    with pytest.raises(StoreError, match="is not an SQLite database"):
        open_console(str(tmp_path / "notes.txt"))
