"""PostgreSQL's answers come through the console whole, in their order, and in bounded memory."""

import subprocess
import sys
import time
from contextlib import closing

import psycopg
import pytest

from orchestrator.domain.errors import ConfigError, StoreError
from orchestrator.store.console.readonly import open_console
from tests.databases import PostgresDatabases
from tests.servers.processes import wait_until

pytestmark = pytest.mark.system  # slow, and no part of the quick loop

WIDE = (
    "SELECT repeat('x', 100000000)",
    "SELECT " + ", ".join(f"repeat('x', 3000000) AS c{place}" for place in range(40)),
    "SELECT i, CASE WHEN i > 3 THEN repeat('x', 100000000) END FROM generate_series(1, 5) AS i",
    "SELECT ''::text AS benchfleet_row, repeat('x', 50000000)::bytea, ROW(1, 2)",
)
# Not ru_maxrss: Linux lets a child begin with the peak of the process that forked it, here of pytest.
READ_WIDE = """\
import sys
import time
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
def test_rows_of_any_width_are_read_in_bounded_memory(postgres_databases: PostgresDatabases, statement: str) -> None:
    argv = [sys.executable, "-c", READ_WIDE, postgres_databases.migrated(), statement]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120)
    said, mebibytes = done.stdout.splitlines()
    expected = "ConfigError a row is longer than 16 MiB" if statement in WIDE else "rows 60"
    assert said == expected
    assert int(mebibytes) < 300


def test_statements_of_postgresql_keep_their_order_and_their_endings(postgres_databases: PostgresDatabases) -> None:
    with closing(open_console(postgres_databases.migrated())) as console:
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
    postgres_databases: PostgresDatabases, value: str, expected: str
) -> None:
    with closing(open_console(postgres_databases.migrated())) as console:
        for end in ("", "; -- so; 'b"):
            assert [tuple(row) for row in console.query(f"SELECT {value}{end}")[1]] == [(expected,)]


def test_what_explain_and_show_answer_is_whole_and_bounded(postgres_databases: PostgresDatabases) -> None:
    with closing(open_console(postgres_databases.migrated())) as console:
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


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT set_config('statement_timeout', '0', true), pg_sleep(30)",
        "SELECT set_config('statement_timeout', '0', false), pg_sleep(0.2) FROM generate_series(1, 150)",
        "WITH off AS MATERIALIZED (SELECT set_config('statement_timeout', '0', true)) SELECT pg_sleep(30) FROM off",
        "EXPLAIN ANALYZE SELECT set_config('statement_timeout', '0', true), pg_sleep(30)",
    ],
)
def test_no_statement_takes_off_its_own_time_limit(postgres_databases: PostgresDatabases, statement: str) -> None:
    url = postgres_databases.migrated()
    for limited in (url, f"{url}?options=-cstatement_timeout%3D0"):
        with closing(open_console(limited, timeout_s=0.4)) as console:
            began = time.monotonic()
            with pytest.raises(ConfigError, match="longer than"):
                list(console.query(statement)[1])
            assert time.monotonic() - began < 15
            assert list(console.query("SHOW statement_timeout")[1]) == [("400ms",)]


def test_json_of_another_kind_is_told_its_function(postgres_databases: PostgresDatabases) -> None:
    with closing(open_console(postgres_databases.migrated())) as console:
        with pytest.raises(ConfigError, match=r"json_each\(jsonb\) does not exist") as caught:
            console.query("SELECT key FROM device_snapshot, json_each(facts)")
        assert caught.value.hint == "JSON columns are jsonb on PostgreSQL: jsonb_each"
        assert list(console.query("SELECT key FROM device_snapshot, jsonb_each(facts)")[1]) == []


def test_a_view_that_a_session_does_not_see_is_no_mistake_of_the_statement(
    postgres_databases: PostgresDatabases,
) -> None:
    with closing(open_console(f"{postgres_databases.migrated()}?options=-c%20search_path=nowhere")) as console:
        with pytest.raises(ConfigError, match='relation "v_attempt" does not exist') as found:
            console.query("SELECT 1 FROM v_attempt")
        assert "SHOW search_path" in str(found.value.hint)


def test_a_view_that_a_user_may_not_read_is_no_mistake_of_the_statement(postgres_databases: PostgresDatabases) -> None:
    name = postgres_databases.migrated().rsplit("/", 1)[1]
    strange = postgres_databases.server.create_role("stranger_to_views", database=name)
    with closing(open_console(strange)) as console:
        with pytest.raises(ConfigError, match="permission denied for view v_attempt") as found:
            list(console.query("SELECT 1 FROM v_attempt")[1])
        assert "GRANT SELECT" in str(found.value.hint)


def test_a_session_that_the_server_ends_is_no_mistake_of_the_statement(postgres_databases: PostgresDatabases) -> None:
    url = postgres_databases.migrated()
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with (
        psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as owner,
        closing(open_console(f"{url}?options=-c%20idle_in_transaction_session_timeout=100ms")) as console,
    ):
        _, rows = console.query("SELECT i FROM generate_series(1, 1000000) AS i")
        wait_until(lambda: owner.execute(others).fetchone() == (0,), "the server has ended the session")
        with pytest.raises(StoreError) as found:
            list(rows)
    assert "views to begin with" not in str(found.value.hint)
