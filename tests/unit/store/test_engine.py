"""Opening databases: URLs, what is shown of them, and errors that say what to do."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.domain.credentials import without_credentials
from orchestrator.domain.errors import BadDatabaseUrl, StoreError
from orchestrator.settings import load_settings
from orchestrator.store.console.readonly import open_console
from orchestrator.store.sql.engine import Database, parse_url, redacted, with_defaults
from orchestrator.store.sql.errors import from_driver
from orchestrator.store.sql.postgres_url import plain_conninfo
from orchestrator.store.store import open_store
from tests import durability


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
    assert redacted(parse_url(f"{scheme}://user:secret@host/lab")) == "postgresql://user:***@host/lab"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://lab",
        "postgresql://db/lab",
        "postgres://ann@db.lab:5433/lab-2",
        "postgresql+psycopg://ann:hunter2@127.0.0.1/lab",
        "postgresql+psycopg://ann:h-u.n~2@db:1/lab",
        "postgresql://ann:token@db/password",
        "postgresql://ann:a%40b@db/lab",
        "postgresql://ann@db/lab?sslmode=require",
        "postgresql://ann@[::1]/lab",
        "postgresql:///lab",
        "postgresql://ann:@db/lab",
        "postgresql://db/lab\n",
        "mysql://db/lab",
        "lab.db",
    ],
)
def test_a_plain_url_of_postgresql_means_the_same_without_sqlalchemy(text: str) -> None:
    pytest.importorskip("psycopg")
    plain = plain_conninfo(text)
    if plain is None:
        assert "@db.lab" not in text
        return
    url = parse_url(text)
    assert plain == (with_defaults(url).set(drivername="postgresql").render_as_string(False), redacted(url))


def test_a_list_of_runs_on_postgresql_waits_for_no_sqlalchemy(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    code = (
        "import sys\n"
        "from orchestrator.domain.errors import StoreError\n"
        "from orchestrator.store.console.run_list import list_runs\n"
        "try:\n    list_runs('postgresql://ann@127.0.0.1:1/lab', 1)\n"
        "except StoreError as error:\n    print(error)\n"
        "assert 'psycopg' in sys.modules and 'sqlalchemy' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "nothing answers there" in done.stdout


@pytest.mark.parametrize("text", ["", ":memory:", "sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(text: str) -> None:
    with pytest.raises(StoreError, match="needs a file"):
        parse_url(text)


def test_other_databases_are_refused() -> None:
    with pytest.raises(StoreError, match="unknown kind of database: mysql"):
        parse_url("mysql://root:hunter2@host/db")


MISTYPED = (
    "host=db password=hunter2",
    "dbname=lab user=ann password='hunter2 x'",
    "password = hunter2 host=db",
    "postgresql:/user:hunter2@host/x",
    "postgresql:user:hunter2@host/x",
    "postgres:host/x",
    "postgersql:/ann:hunter2@host/x",
    "sqlite:results.db",
    "ann:hunter2@host/lab",
    "//ann:hunter2@host/lab",
    "/ann:hunter2@host/lab",
    "connect_timeout=3 host=h password=hunter2",
    "application_name=x password=hunter2",
    "target_session_attrs=any host=h password=hunter2",
    "PGPASSWORD=hunter2 host=h",
    "Server=h;Pwd=hunter2",
    "lab.db password=hunter2",
    "/lab.db password=hunter2",
    "~/lab.db password = hunter2",
    "\tpostgresql:/u:hunter2@h/x",
    " postgresql:/u:hunter2@h/x",
    " host=h password=hunter2",
    "postgres//u:hunter2@host/db",
    "postgresql;//u:hunter2@h/db",
    "postgresql/u:hunter2@host/db",
    "u@h:hunter2",
    "host=h\npassword=hunter2",
    "u:hunter2\nx@h",
    "host=h password=hunter2://x",
    "u:hunter2@h://x",
    "sqlite:///host=h password=hunter2",
    "sqlite:///ann:hunter2@host/lab",
    "sqlite:///postgresql://ann:hunter2@host/lab",
)


@pytest.mark.parametrize("text", MISTYPED)
def test_what_is_not_quite_a_url_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    for open_it in (parse_url, open_console, open_store, lambda url: load_settings({"db": url}, {}, folder=tmp_path)):
        with pytest.raises(BadDatabaseUrl, match=r"not (quite )?a database URL") as raised:
            open_it(text)
        assert raised.value.exit_code == 2
        assert "postgresql://USER@HOST/NAME" in str(raised.value.hint)
        assert "hunter2" not in f"{raised.value} {raised.value.hint} {raised.value.args}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "./host=db password=x",
        "./ann:pw@host",
        "../ann:pw@host",
        "./a=b.db",
        "sqlite:///./a=b.db",
        "sqlite:///lab.db?mode=ro",
        "/data/run=3/a:b/lab.db",
        "~/x:1.db",
        "/home/ann@lab/lab.db",
        "sqlite:////data/ann:pw@host db=x",
    ],
)
def test_an_odd_name_of_a_file_stays_one(tmp_path: Path, text: str) -> None:
    assert parse_url(text).drivername == "sqlite"
    chosen = load_settings({"db": text}, {}, folder=tmp_path).db
    assert parse_url(chosen).drivername == "sqlite"


def test_a_url_with_its_driver_hides_no_connection_string() -> None:
    with pytest.raises(BadDatabaseUrl, match="not quite a database URL"):
        parse_url("sqlite+pysqlite:///ann:hunter2@host/lab")


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://ann:hunter2@db/lab",
        "postgresql://ann:/hunter2@db/lab",
        "postgresql://ann:hunter2@hunter2@db/lab",
        "error near ann:hunter2@db, in the URL",
        "host=db password=hunter2 dbname=lab",
        "host=db password = 'hunter2 hunter2' dbname=lab",
        "postgresql://db/lab?sslpassword=hunter2&token=hunter2&passfile=/home/ann/hunter2",
        "AWS_SECRET_ACCESS_KEY=hunter2",
    ],
)
def test_credentials_are_known_by_what_they_are(text: str) -> None:
    shown = str(StoreError(text, text).message) + str(StoreError("x", text).hint)
    assert "hunter2" not in shown
    assert "***" in shown
    assert "hunter2" not in repr(StoreError(text, text))


@pytest.mark.parametrize(
    "text",
    ["pi@10.0.0.3:22: no answer", "sweeps/a.yaml:3: ann@desk", "a@h1:22,b@h2:22", "postgresql://ann@db:5432/lab"],
)
def test_addresses_are_no_credentials(text: str) -> None:
    assert without_credentials(text) == text


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/null"])
def test_a_device_is_no_database(place: str) -> None:
    for open_it in (open_store, open_console, lambda url: open_console(f"sqlite:///{url}")):
        with pytest.raises(BadDatabaseUrl, match="is a device, a pipe or a socket"):
            open_it(place)


def test_a_broken_url_does_not_show_its_password() -> None:
    with pytest.raises(StoreError, match="not a database URL") as raised:
        parse_url("postgresql://user:hunter2@host:port/db")
    assert "hunter2" not in f"{raised.value} {raised.value.hint} {raised.value.__cause__}"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://user:hunter2@host/lab",
        "postgresql://user@host/lab?password=hunter2",
        "postgresql://h/lab?passfile=hunter2",
        "postgresql:///x?options=hunter2",
    ],
)
def test_a_shown_url_has_no_password(text: str) -> None:
    pytest.importorskip("psycopg")
    assert "hunter2" not in redacted(parse_url(text))


def test_without_psycopg_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match="needs psycopg") as raised:
        parse_url("postgresql://host/lab")
    assert raised.value.hint == "pip install 'benchfleet[postgres]'"


def test_sqlite_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    with durability.kept(), open_store(str(tmp_path / "a.db")) as store, store.database.read() as connection:
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
    monkeypatch.setattr("orchestrator.store.sql.engine.BUSY_TIMEOUT_S", 0.1)
    file = tmp_path / "a.db"
    with open_store(str(file)) as store:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked by another process"), store.database.write():
            pass
        assert store.runs.find_run("last") is None
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


@pytest.mark.system
def test_finding_a_run_loads_nothing_heavy(tmp_path: Path) -> None:
    open_store(str(tmp_path / "a.db")).close()
    program = (
        "import sys; from orchestrator.store.store import open_store; s = open_store(sys.argv[1]);"
        "s.runs.find_run('last'); s.close();"
        "print(sorted({'alembic', 'numpy', 'scipy', 'psycopg', 'sqlalchemy.orm', 'stamina',"
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
