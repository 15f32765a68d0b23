"""SQLite computes in a process of the console: what a statement takes there is bounded."""

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.domain.errors import ConfigError
from orchestrator.store.base import SqlConsole
from orchestrator.store.console import sqlite_reader
from orchestrator.store.console.readonly import open_console
from tests.databases import SqliteDatabases

pytestmark = pytest.mark.system  # slow, and no part of the quick loop

LONG_CALL = "SELECT instr(printf('%.*c', 8000000, 'a'), printf('%.*c', 4000000, 'a') || 'b')"
"""A single call of a function that takes hours, and that SQLite cannot interrupt."""


def console_of(databases: SqliteDatabases, timeout_s: float) -> SqlConsole:
    return open_console(databases.migrated(), timeout_s=timeout_s)


def test_a_function_that_cannot_be_interrupted_is_ended(sqlite_databases: SqliteDatabases) -> None:
    with closing(console_of(sqlite_databases, timeout_s=0.3)) as console:
        begun = time.monotonic()
        with pytest.raises(ConfigError, match=r"longer than 0\.3 s"):
            console.query(LONG_CALL)
        assert time.monotonic() - begun < 20
        assert [tuple(row) for row in console.query("SELECT 1")[1]] == [(1,)]


def test_the_time_for_which_the_rows_wait_to_be_read_is_not_the_statements(sqlite_databases: SqliteDatabases) -> None:
    """More rows than a pipe holds: the statement goes on once these are read, however late."""
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 50000) SELECT i, 'abcdefgh' FROM n"
    with closing(console_of(sqlite_databases, timeout_s=2.0)) as console:
        _, rows = console.query(numbers)
        next(rows)
        time.sleep(2.5)  # the wait is what is tried
        assert sum(1 for _ in rows) == 49_999


def test_what_a_statement_of_sqlite_takes_is_bounded(sqlite_databases: SqliteDatabases) -> None:
    many = ", ".join(f"randomblob(16000000) AS c{place}" for place in range(30))
    with closing(console_of(sqlite_databases, timeout_s=30)) as console:
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


def test_what_sqlite_sets_aside_stays_within_its_memory_and_takes_no_room_on_a_disk(
    sqlite_databases: SqliteDatabases,
) -> None:
    statements = [
        statement.format(n=f"n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {rows})", rows=rows)
        for statement in SPILLING
        for rows in (50, 400)
    ]
    argv = [sys.executable, "-c", READ_WITHOUT_FILES, sqlite_databases.migrated(), *statements]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.splitlines() == ["rows 9", "the query takes too much memory"] * len(SPILLING)


def test_json_and_the_schema_can_be_read_as_tables(sqlite_databases: SqliteDatabases) -> None:
    with closing(console_of(sqlite_databases, timeout_s=30)) as console:
        for statement in (
            "SELECT value FROM json_each('[1, 2]')",
            "SELECT value FROM json_tree('[1, 2]') WHERE atom IS NOT NULL",
            "SELECT json_extract('{\"a\": 1}', '$.a') UNION SELECT 2",
        ):
            assert [tuple(row) for row in console.query(statement)[1]] == [(1,), (2,)]
        assert ("name",) in list(console.query("SELECT name FROM pragma_table_info('device')")[1])
        # a common table expression, also under the name of a column that nobody reads
        assert list(console.query("WITH n(i) AS (VALUES (1), (2)) SELECT count(*) FROM n")[1]) == [(2,)]


def test_the_process_that_people_ask_knows_the_words_of_postgresql(
    sqlite_databases: SqliteDatabases,
) -> None:
    given = "WITH given(x) AS (VALUES (1.0), (2.0), (4.0))"
    with closing(console_of(sqlite_databases, timeout_s=30)) as console:
        statement = f"{given} SELECT variance(x), percentile_cont(0.75) WITHIN GROUP (ORDER BY x) FROM given"
        assert [tuple(row) for row in console.query(statement)[1]] == [(pytest.approx(7 / 3), 3.0)]
        with pytest.raises(ConfigError, match="percentile_cont: the share 2 is not between 0 and 1"):
            list(console.query(f"{given} SELECT percentile_cont(2) WITHIN GROUP (ORDER BY x) FROM given")[1])
        with pytest.raises(ConfigError) as caught:
            console.query("SELECT devise FROM v_cell")
        assert str(caught.value.hint).startswith("did you mean 'device'? v_cell has run, ")


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
