"""Whoever may only read a database reads all of it, and is told why where a command would write."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli.app import app
from orchestrator.domain.errors import OrchestratorError, StoreError
from orchestrator.domain.run_filter import RunFilter
from orchestrator.store.console.readonly import open_console
from orchestrator.store.console.run_list import list_runs
from orchestrator.store.store import Store, open_reader, open_store
from orchestrator.testing.event_logs import sample_device, sample_header, sample_model, sample_sweep
from tests.databases import PostgresDatabases, SqliteDatabases
from tests.disks import make_read_only, mounted
from tests.servers import processes
from tests.servers.postgres import PostgresStandby
from tests.unit.cli.measured_runs import measure

pytestmark = pytest.mark.system  # servers, mounts and other users: no part of the quick loop

NOBODY = 65534


def fill(url: str) -> None:
    with open_store(url) as store:
        model, sweep = sample_model(), sample_sweep()
        store.runs.create_run(sample_header("run", sweep, model), model, [sample_device()])


def read_everything(url: str) -> str:
    """Read by each way that a command has, and return what a write is told."""
    with open_store(url) as store:
        assert store.runs.find_run("run") is not None
        assert store.leases.holdings(["pi-03"]) == {}
        with pytest.raises(StoreError) as refused:
            store.words.write_note("run", "noted", "bob@lab")
    with open_reader(url) as reader:
        assert reader.runs.find_run("run") is not None
    # An ordinary user may not be able to start this very Python.
    for own in (True, False) if os.access(sys.executable, os.X_OK) else (True,):
        with closing(open_console(url, own=own)) as console:
            assert [tuple(row) for row in console.query("SELECT count(*) FROM run")[1]] == [(1,)]
    assert [one.run for one in list_runs(url, 5, RunFilter())] == ["run"]
    return f"{refused.value.message} | {refused.value.hint}"


@pytest.fixture
def shelf() -> Iterator[Path]:
    """A folder that every user can enter."""
    folder = Path(tempfile.mkdtemp(prefix="benchfleet-shelf-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def as_nobody(act: Callable[[], str]) -> str:
    """Call a function in a process of a user who owns nothing, and return its answer."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to be another user")
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        said = "no answer"
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            said = act()
        except BaseException as error:  # noqa: BLE001 - the parent judges
            said = f"{type(error).__name__}: {error}"
        finally:
            os.write(writing, said.encode()[:60_000])
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read().decode()
    os.waitpid(child, 0)
    return answer


def test_a_colleagues_file_is_read_once_its_last_writer_has_gone(
    sqlite_databases: SqliteDatabases, shelf: Path
) -> None:
    file = shelf / "lab.db"
    sqlite_databases.copy_to(file)
    fill(str(file))
    file.chmod(0o644)
    assert sorted(path.name for path in shelf.iterdir()) == ["lab.db"]
    said = as_nobody(lambda: read_everything(str(file)))
    assert "you may only read this database: the file is root's" in said
    assert "--db FILE" in said
    assert sorted(path.name for path in shelf.iterdir()) == ["lab.db"]


@pytest.mark.parametrize(
    "words",
    [
        ("runs", "list"),
        ("runs", "show", "run-1"),
        ("compare", "run-1"),
        ("db", "current"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_colleague_sees_by_each_command_what_the_owner_sees(shelf: Path, words: tuple[str, ...]) -> None:
    file = shelf / "lab.db"
    measure(file, {"fp32": [2000, 2010, 2020], "int8": [1000, 1010, 1020]})
    file.chmod(0o644)

    def told() -> str:
        done = CliRunner().invoke(app, [*words, "--db", str(file)])
        return f"{done.exit_code} {done.output}"

    owner = told()
    assert owner.startswith("0 "), owner
    assert as_nobody(told) == owner


def test_a_colleagues_file_is_read_while_it_is_written(sqlite_databases: SqliteDatabases, shelf: Path) -> None:
    file = shelf / "lab.db"
    sqlite_databases.copy_to(file)
    with open_store(str(file)) as store:
        fill(str(file))
        assert store.runs.find_run("run") is not None
        for path in shelf.iterdir():
            path.chmod(0o644)
        assert "you may only read this database" in as_nobody(lambda: read_everything(str(file)))
        store.words.write_note("run", "noted", "ann@lab")
        told = as_nobody(lambda: str(open_store(str(file)).runs.find_run("run").words.note))  # type: ignore[union-attr]
        assert told == "noted"


def test_a_file_that_a_killed_writer_left_is_read_or_told(sqlite_databases: SqliteDatabases, shelf: Path) -> None:
    file, kept = shelf / "lab.db", shelf / "kept"
    sqlite_databases.copy_to(file)
    fill(str(file))
    with closing(sqlite3.connect(file)) as writer:
        writer.execute("UPDATE run SET note = 'last words'")
        writer.commit()
        kept.mkdir(mode=0o755)
        for path in shelf.glob("lab.db*"):
            shutil.copyfile(path, kept / path.name)
    left = kept / "lab.db"
    note = "SELECT note FROM run"
    answer = lambda: str(list(open_console(str(left), own=True).query(note)[1]))  # noqa: E731
    assert as_nobody(answer) == "[('last words',)]"
    (kept / "lab.db-shm").unlink()
    said = as_nobody(answer)
    assert "its last writer has left a journal" in said


@pytest.mark.parametrize("mode", [0o700, 0o000], ids=["folder", "file"])
def test_a_file_that_one_may_not_even_read_is_told_by_every_way(
    sqlite_databases: SqliteDatabases, shelf: Path, mode: int
) -> None:
    file = shelf / "lab.db"
    sqlite_databases.copy_to(file)
    (shelf if mode else file).chmod(mode)
    ways: tuple[Callable[[], object], ...] = (
        lambda: open_store(str(file)),
        lambda: open_reader(str(file)),
        lambda: open_console(str(file), own=True),
        lambda: list_runs(str(file), 5, RunFilter()),
    )

    def told() -> str:
        said = []
        for way in ways:
            with pytest.raises(StoreError) as refused:
                way()
            said.append(refused.value.message)
        return "\n".join(said)

    answer = as_nobody(told)
    shelf.chmod(0o755)
    assert answer.count("cannot be opened") == len(ways), answer


def test_a_file_on_a_disk_mounted_read_only_is_read(sqlite_databases: SqliteDatabases, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 8 << 20) as disk:
        file = disk / "lab.db"
        sqlite_databases.copy_to(file)
        fill(str(file))
        make_read_only(disk)
        assert "mounted read-only" in read_everything(str(file))


def note(url: str) -> None:
    """Write a note, which moves into the file with the last connection."""
    with open_store(url) as writer:
        writer.words.write_note("run", "noted", "ann@lab")


def count_while(store: Store, act: Callable[[], None]) -> None:
    with store.database.read() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM run").all()
        act()


def test_what_was_read_without_locks_counts_only_if_nobody_wrote(
    sqlite_databases: SqliteDatabases, tmp_path: Path, shelf: Path
) -> None:
    with mounted(tmp_path / "disk", 8 << 20) as disk:
        file = disk / "lab.db"
        sqlite_databases.copy_to(file)
        fill(str(file))
        subprocess.run(["mount", "--bind", "-o", "ro", str(disk), str(shelf)], check=True)
        try:
            view = str(shelf / "lab.db")
            with open_store(view) as reader, closing(open_console(view, own=True)) as console:
                _, rows = console.query("SELECT run.id FROM run")
                with pytest.raises(StoreError, match="was changed while it was read") as raised:
                    count_while(reader, lambda: note(str(file)))
                assert "again" in str(raised.value.hint)
                with pytest.raises(OrchestratorError, match="was changed while it was read"):
                    list(rows)
                found = reader.runs.find_run("run")
                assert found is not None
                assert found.words.note == "noted"
        finally:
            subprocess.run(["umount", "-l", str(shelf)], check=True)


def test_an_older_file_is_not_upgraded_by_a_reader(sqlite_databases: SqliteDatabases, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 8 << 20) as disk:
        file = disk / "lab.db"
        sqlite_databases.copy_to(file)
        with closing(sqlite3.connect(file)) as writer:
            writer.execute("UPDATE alembic_version SET version_num = '0018'")
            writer.commit()
        make_read_only(disk)
        with pytest.raises(StoreError, match="is at schema 0018") as raised:
            open_store(str(file))
        assert raised.value.hint == "whoever may write it runs: benchfleet db upgrade"


GRANTS = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader_of_all"


def grant(databases: PostgresDatabases, url: str, *statements: str) -> None:
    import psycopg

    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def test_a_role_that_may_only_read_reads_everything(postgres_databases: PostgresDatabases) -> None:
    url = postgres_databases.migrated()
    fill(url)
    role = postgres_databases.server.create_role("reader_of_all", database=url.rsplit("/", 1)[1])
    with pytest.raises(StoreError, match="permission denied for alembic_version") as raised:
        open_store(role)
    assert "GRANT SELECT" in str(raised.value.hint)
    grant(postgres_databases, url, GRANTS)
    said = read_everything(role)
    assert "permission denied for run" in said
    with pytest.raises(StoreError, match="permission denied for public") as raised:
        open_store(postgres_databases.empty().replace("//benchfleet:", "//reader_of_all:"), upgrade=True)
    assert "CREATE on the schema" in str(raised.value.hint)


def test_a_user_who_is_kept_from_writing_is_not_told_of_a_standby(postgres_databases: PostgresDatabases) -> None:
    url = postgres_databases.migrated()
    fill(url)
    settings = "default_transaction_read_only = on"
    role = postgres_databases.server.create_role("kept_from_writing", settings, database=url.rsplit("/", 1)[1])
    grant(postgres_databases, url, "GRANT ALL ON ALL TABLES IN SCHEMA public TO kept_from_writing")
    said = read_everything(role)
    assert "this user may only read" in said
    assert "default_transaction_read_only" in said
    assert "primary" not in said


def test_tables_out_of_sight_are_not_taken_for_missing(postgres_databases: PostgresDatabases) -> None:
    url = postgres_databases.migrated()
    grant(postgres_databases, url, "ALTER SCHEMA public RENAME TO lab")
    with pytest.raises(StoreError, match="the tables are in the schema lab") as raised:
        open_store(url)
    assert "search_path = lab" in str(raised.value.hint)
    assert "db upgrade" not in str(raised.value.hint)


def test_a_limit_of_a_role_ends_questions_and_no_run(postgres_databases: PostgresDatabases) -> None:
    url = postgres_databases.migrated()
    role = postgres_databases.server.create_role(
        "in_a_hurry", "statement_timeout = '700ms'", database=url.rsplit("/", 1)[1]
    )
    grant(postgres_databases, url, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO in_a_hurry")
    with open_store(role) as store:
        with store.database.write() as connection:
            connection.exec_driver_sql("SELECT pg_sleep(0.9)").all()
        with (
            pytest.raises(StoreError, match="time limit ended a question") as raised,
            store.database.read() as connection,
        ):
            connection.exec_driver_sql("SELECT pg_sleep(20)").all()
        assert "statement_timeout" in str(raised.value.hint)


@pytest.mark.timeout(180)
def test_a_standby_is_read_and_names_its_primary(postgres_databases: PostgresDatabases, tmp_path: Path) -> None:
    primary, url = postgres_databases.server, postgres_databases.migrated()
    fill(url)
    with PostgresStandby(primary, tmp_path) as standby:
        there = url.replace(f":{primary.port}/", f":{standby.port}/")
        said = read_everything(there)
        assert "the server is a standby" in said
        assert "target_session_attrs=read-write" in said
        with open_store(url) as store:
            store.words.write_note("run", "noted", "ann@lab")
        with open_reader(there) as reader:
            processes.wait_until(
                lambda: reader.runs.find_run("run").words.note == "noted",  # type: ignore[union-attr]
                "the note arrives",
            )
        both = url.replace(f"@127.0.0.1:{primary.port}/", "@/")
        hosts = f"host=127.0.0.1:{standby.port}&host=127.0.0.1:{primary.port}&target_session_attrs=read-write"
        with open_store(f"{both}?{hosts}") as store:
            store.words.write_note("run", "by either", "ann@lab")
        listed = f"@127.0.0.1:{standby.port},127.0.0.1:{primary.port}/"
        written = url.replace(f"@127.0.0.1:{primary.port}/", listed) + "?target_session_attrs=read-write"
        with open_store(written) as store:
            store.words.write_note("run", "by either", "bob@lab")
        with closing(open_console(f"{both}?{hosts}")) as console:
            assert list(console.query("SELECT note, pg_is_in_recovery() FROM run")[1]) == [("by either", False)]
