"""The SQL console reads everything and changes nothing, whatever it is asked."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.domain.errors import ConfigError, StoreError
from orchestrator.domain.facts import Facts
from orchestrator.store.base import SqlConsole
from orchestrator.store.console import sqlite_reader
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


LONG_CALL = "SELECT instr(printf('%.*c', 8000000, 'a'), printf('%.*c', 4000000, 'a') || 'b')"
"""A single call of a function that takes hours, and that SQLite cannot interrupt."""


def sqlite_console(databases: Databases, timeout_s: float) -> SqlConsole:
    if databases.kind != "sqlite":
        pytest.skip("SQLite alone computes in a process of ours")
    return open_console(databases.migrated(), timeout_s=timeout_s)


def test_a_function_that_cannot_be_interrupted_is_ended(databases: Databases) -> None:
    with closing(sqlite_console(databases, timeout_s=0.3)) as console:
        begun = time.monotonic()
        with pytest.raises(ConfigError, match=r"longer than 0\.3 s"):
            console.query(LONG_CALL)
        assert time.monotonic() - begun < 20
        assert [tuple(row) for row in console.query("SELECT 1")[1]] == [(1,)]


def test_the_time_for_which_the_rows_wait_to_be_read_is_not_the_statements(databases: Databases) -> None:
    """More rows than a pipe holds: the statement goes on once these are read, however late."""
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 50000) SELECT i, 'abcdefgh' FROM n"
    with closing(sqlite_console(databases, timeout_s=2.0)) as console:
        _, rows = console.query(numbers)
        next(rows)
        time.sleep(2.5)  # the wait is what is tried
        assert sum(1 for _ in rows) == 49_999


def test_what_a_statement_of_sqlite_takes_is_bounded(databases: Databases) -> None:
    many = ", ".join(f"randomblob(16000000) AS c{place}" for place in range(30))
    with closing(sqlite_console(databases, timeout_s=30)) as console:
        for statement in (f"SELECT {many}", "SELECT replace(printf('%.*c', 9000000, 'a'), 'a', 'bb')"):
            with pytest.raises(ConfigError):
                list(console.query(statement)[1])
        with pytest.raises(ConfigError, match=r"too (big|large)"):
            console.query(f"SELECT 1 -- {'x' * (2 << 20)}")


SPILLING = (
    "WITH RECURSIVE {n} SELECT length(b) FROM (SELECT i, zeroblob(1000000) AS b FROM n ORDER BY -i, b) LIMIT 9",
    "WITH RECURSIVE {n} SELECT length(b) FROM (SELECT DISTINCT randomblob(1000000) AS b FROM n) LIMIT {rows} - 9, 9",
    "WITH RECURSIVE {n}, m(b) AS MATERIALIZED (SELECT randomblob(1000000) FROM n) SELECT length(b) FROM m LIMIT 9",
)
"""Statements whose rows SQLite sets aside before the first one comes: in temporary files, unless told otherwise."""
READ_WITHOUT_FILES = """\
import resource, sys
from orchestrator.domain.errors import OrchestratorError
from orchestrator.store.console.readonly import open_console
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))  # room for the index of a write-ahead log
console = open_console(sys.argv[1])
for statement in sys.argv[2:]:
    try:
        print("rows", len(list(console.query(statement)[1])))
    except OrchestratorError as error:
        print(error.message)
"""


def test_what_sqlite_sets_aside_stays_within_its_memory_and_takes_no_room_on_a_disk(databases: Databases) -> None:
    if databases.kind != "sqlite":
        pytest.skip("PostgreSQL computes on its server")
    statements = [
        statement.format(n=f"n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {rows})", rows=rows)
        for statement in SPILLING
        for rows in (50, 400)
    ]
    argv = [sys.executable, "-c", READ_WITHOUT_FILES, databases.migrated(), *statements]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.splitlines() == ["rows 9", "the query takes too much memory"] * len(SPILLING)


def test_json_and_the_schema_can_be_read_as_tables(databases: Databases) -> None:
    with closing(sqlite_console(databases, timeout_s=30)) as console:
        for statement in (
            "SELECT value FROM json_each('[1, 2]')",
            "SELECT value FROM json_tree('[1, 2]') WHERE atom IS NOT NULL",
            "SELECT json_extract('{\"a\": 1}', '$.a') UNION SELECT 2",
        ):
            assert [tuple(row) for row in console.query(statement)[1]] == [(1,), (2,)]
        assert ("name",) in list(console.query("SELECT name FROM pragma_table_info('device')")[1])
        # a common table expression, also under the name of a column that nobody reads
        assert list(console.query("WITH n(i) AS (VALUES (1), (2)) SELECT count(*) FROM n")[1]) == [(2,)]


def test_a_function_that_the_list_does_not_have_is_refused(tmp_path: Path) -> None:
    """Whatever this SQLite offers: computing functions are listed, all others are out of reach."""
    (tmp_path / "a.db").touch()
    with closing(sqlite3.connect(":memory:")) as other:
        there = other.execute("SELECT DISTINCT name, narg FROM pragma_function_list").fetchall()
    unlisted = [(name, arguments) for name, arguments in there if name not in sqlite_reader.FUNCTIONS]
    assert {"load_extension", "fts3_tokenizer"} <= {name for name, _ in unlisted}
    with closing(open_console(str(tmp_path / "a.db"), own=True)) as console:
        for name, arguments in unlisted:
            with pytest.raises(ConfigError, match="only reading is possible"):
                console.query(f"SELECT {name}({', '.join('1' * abs(arguments))})")


WIDE = (
    "SELECT repeat('x', 100000000)",
    "SELECT " + ", ".join(f"repeat('x', 3000000) AS c{place}" for place in range(40)),
    "SELECT i, CASE WHEN i > 3 THEN repeat('x', 100000000) END FROM generate_series(1, 5) AS i",
    "SELECT ''::text AS benchfleet_row, repeat('x', 50000000)::bytea, ROW(1, 2)",
)
# Not ru_maxrss: Linux lets a child begin with the peak of the process that forked it, here of pytest.
READ_WIDE = """\
import sys
from pathlib import Path
from orchestrator.domain.errors import OrchestratorError
from orchestrator.store.console.readonly import open_console
console = open_console(sys.argv[1])
try:
    print("rows", sum(1 for row in console.query(sys.argv[2])[1]))
except OrchestratorError as error:
    print(type(error).__name__, error.message)
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
print(int(peak.split()[1]) // 1024)
"""


@pytest.mark.parametrize("statement", [*WIDE, "SELECT repeat('x', 8000000) FROM generate_series(1, 60)"])
def test_rows_of_any_width_are_read_in_bounded_memory(databases: Databases, statement: str) -> None:
    if databases.kind != "postgresql":
        pytest.skip("a row of SQLite is bounded where it is computed")
    argv = [sys.executable, "-c", READ_WIDE, databases.migrated(), statement]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120)
    said, mebibytes = done.stdout.splitlines()
    expected = "ConfigError a row is longer than 16 MiB" if statement in WIDE else "rows 60"
    assert said == expected
    assert int(mebibytes) < 300


def test_statements_of_postgresql_keep_their_order_and_their_endings(store: Store, databases: Databases) -> None:
    if databases.kind != "postgresql":
        pytest.skip("SQLite gets statements as they are typed")
    with closing(open_console(store.database.url.render_as_string(hide_password=False))) as console:
        falling = "SELECT i AS n, i AS n FROM generate_series(1, 50000) AS i ORDER BY i DESC"
        for end in ("", ";", " ; \n", " -- so", "; -- so", ";; /* so; /* or */ so */ -- ;"):
            columns, rows = console.query(falling + end)
            assert list(columns) == ["n", "n"]
            assert [row[0] for row in rows] == list(range(50_000, 0, -1))
        with pytest.raises(ConfigError, match='column "nosuch" does not exist'):
            console.query("SELECT nosuch")
        for hidden in ("SELECT 1) AS a, (SELECT 2", "SELECT 1; SELECT 2"):
            with pytest.raises(ConfigError):
                console.query(hidden)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("'a; -- b'", "a; -- b"),
        ("'it''s; '", "it's; "),
        (r"E'\'; -- '", "'; -- "),
        ("$$; -- $$", "; -- "),
        ("$a$; $$ ' $a$", "; $$ ' "),
        ("/* ; /* ' */ ; */ 'b'", "b"),
        ("'b' -- ; '\n", "b"),
        ("a$b$c FROM (SELECT 'b') AS one (a$b$c)", "b"),
    ],
)
def test_a_semicolon_ends_a_statement_of_postgresql_only_outside_of_words_and_comments(
    databases: Databases, value: str, expected: str
) -> None:
    if databases.kind != "postgresql":
        pytest.skip("SQLite gets statements as they are typed")
    with closing(open_console(databases.migrated())) as console:
        for end in ("", "; -- so; 'b"):
            assert [tuple(row) for row in console.query(f"SELECT {value}{end}")[1]] == [(expected,)]


def test_what_explain_and_show_answer_is_whole_and_bounded(databases: Databases) -> None:
    if databases.kind != "postgresql":
        pytest.skip("a row of SQLite is bounded where it is computed")
    with closing(open_console(databases.migrated())) as console:
        columns, rows = console.query("EXPLAIN ANALYZE SELECT 'it''s' FROM device; -- so")
        assert list(columns) == ["QUERY PLAN"]
        assert len(list(rows)) > 2
        ((plan,),) = console.query("EXPLAIN (FORMAT JSON) SELECT 1")[1]
        assert plan[0]["Plan"]["Node Type"] == "Result"
        assert list(console.query("SHOW TIME ZONE")[1]) == [("UTC",)]
        columns, rows = console.query("SHOW ALL", limit=3)
        assert (list(columns), len(list(rows))) == (["name", "setting", "description"], 3)
        long = "SELECT " + ", ".join(["repeat('x', 1000000)"] * 20)
        for statement in (f"EXPLAIN VERBOSE {long}", f"EXPLAIN (VERBOSE, FORMAT JSON) {long}"):
            with pytest.raises(ConfigError, match="the answer is longer than 16 MiB"):
                list(console.query(statement)[1])
        assert list(console.query("SELECT 1")[1]) == [(1,)]


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
