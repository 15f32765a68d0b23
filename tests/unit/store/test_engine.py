"""Opening databases: URLs, what is shown of them, and errors that say what to do."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.domain.errors import StoreError
from orchestrator.store.engine import Database, parse_url, redacted
from orchestrator.store.errors import from_driver
from orchestrator.store.readonly import open_console
from orchestrator.store.store import open_store


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("results.db", Path.cwd() / "results.db"),
        ("/data/results.db", "/data/results.db"),
        ("sqlite:////data/results.db", "/data/results.db"),
        ("sqlite:///results.db", Path.cwd() / "results.db"),
        ("~/results.db", Path.home() / "results.db"),
        ("/data/odd name?#%40.db", "/data/odd name?#%40.db"),
    ],
)
def test_a_file_is_named_by_url_or_path(text: str, path: Path | str) -> None:
    url = parse_url(text)
    assert (url.drivername, url.database) == ("sqlite", str(path))


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgresql_is_reached_by_psycopg(scheme: str) -> None:
    pytest.importorskip("psycopg")
    assert parse_url(f"{scheme}://user@host/lab").drivername == "postgresql+psycopg"


@pytest.mark.parametrize("text", ["", ":memory:", "sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(text: str) -> None:
    with pytest.raises(StoreError, match="needs a file"):
        parse_url(text)


def test_other_databases_are_refused() -> None:
    with pytest.raises(StoreError, match="unknown kind of database: mysql"):
        parse_url("mysql://root:hunter2@host/db")


def test_a_broken_url_does_not_show_its_password() -> None:
    with pytest.raises(StoreError, match="not a database URL") as raised:
        parse_url("postgresql://user:hunter2@host:port/db")
    assert "hunter2" not in f"{raised.value} {raised.value.hint} {raised.value.__cause__}"


@pytest.mark.parametrize("text", ["postgresql://user:hunter2@host/lab", "postgresql://user@host/lab?password=hunter2"])
def test_a_shown_url_has_no_password(text: str) -> None:
    pytest.importorskip("psycopg")
    assert "hunter2" not in redacted(parse_url(text))


def test_without_psycopg_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match="needs psycopg") as raised:
        parse_url("postgresql://host/lab")
    assert raised.value.hint == "pip install 'benchfleet[postgres]'"


def test_sqlite_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "a.db")) as store, store.database.read() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


def test_the_folder_of_a_new_file_is_made(tmp_path: Path) -> None:
    file = tmp_path / "new" / "folder" / "a.db"
    open_store(str(file)).close()
    assert file.exists()


def test_a_file_that_is_not_there_is_not_made_without_leave(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no such database"):
        open_store(str(tmp_path / "none.db"), upgrade=False)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="its folder cannot be made"):
        open_store(str(tmp_path / "file" / "a.db"))


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    for open_it in (open_store, open_console):
        with pytest.raises(StoreError, match="is a folder") as raised:
            open_it(str(tmp_path))
        assert raised.value.hint


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, " * 100)
    with pytest.raises(StoreError, match="is not an SQLite database"):
        open_store(str(tmp_path / "notes.txt"))


def test_a_locked_database_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.store.engine.BUSY_TIMEOUT_S", 0.1)
    file = tmp_path / "a.db"
    with open_store(str(file)) as store:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked by another process"), store.database.write():
            pass
        assert store.find_run("last") is None
        other.close()


def test_a_server_that_does_not_answer() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError, match="nothing answers there") as raised:
        open_store("postgresql://user:hunter2@127.0.0.1:1/lab")
    assert "hunter2" not in str(raised.value)
    assert "user:***@127.0.0.1:1/lab" in str(raised.value)


def test_a_host_that_nobody_knows() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError, match="the host name is unknown"):
        open_store("postgresql://user@no-such-host.invalid/lab")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (sqlite3.OperationalError("database or disk is full"), "the disk is full"),
        (sqlite3.OperationalError("disk I/O error"), "the disk failed"),
        (sqlite3.DatabaseError("database disk image is malformed"), "the file is damaged"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "cannot be written"),
        (sqlite3.OperationalError("no such table: x\nand more"), "no such table: x"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_errors_are_one_line(error: Exception, said: str) -> None:
    explained = from_driver(error, "lab.db")
    assert explained.message == f"lab.db: {said}"


@pytest.mark.parametrize("state", ["3D000", "28P01", "53100", "53300", "57P01", "42501"])
def test_errors_of_postgresql_are_known_by_their_code(state: str) -> None:
    error = RuntimeError("said in any language")
    error.sqlstate = state  # type: ignore[attr-defined]
    explained = from_driver(error, "lab")
    assert "any language" not in explained.message
    assert explained.hint


def test_a_reader_sees_one_state_while_a_writer_writes(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "a.db")) as store, store.database.read() as reader:
        count = "SELECT count(*) FROM sweep"
        assert reader.exec_driver_sql(count).scalar() == 0
        with store.database.write() as writer:
            writer.exec_driver_sql("INSERT INTO sweep (name, sha256, document) VALUES ('a', 'b', 'c')")
        assert reader.exec_driver_sql(count).scalar() == 0


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    def fail(database: Database) -> None:
        with database.write() as writer:
            writer.exec_driver_sql("INSERT INTO sweep (name, sha256, document) VALUES ('a', 'b', 'c')")
            raise RuntimeError("no")

    with open_store(str(tmp_path / "a.db")) as store:
        with pytest.raises(RuntimeError, match="no"):
            fail(store.database)
        with store.database.read() as reader:
            assert reader.exec_driver_sql("SELECT count(*) FROM sweep").scalar() == 0


def test_finding_a_run_loads_nothing_heavy(tmp_path: Path) -> None:
    open_store(str(tmp_path / "a.db")).close()
    program = (
        "import sys; from orchestrator.store.store import open_store; s = open_store(sys.argv[1]); s.find_run('last');"
        "s.close(); print(sorted({'alembic', 'numpy', 'scipy', 'psycopg', 'sqlalchemy.orm', 'stamina',"
        "'sqlalchemy.dialects.postgresql'} & set(sys.modules)))"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("COV_", "PYTEST"))}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a.db")],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert done.stdout.strip() == "[]"
