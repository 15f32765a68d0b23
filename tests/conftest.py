"""Real servers that several suites share."""

import gc
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import tests.durability
import tests.effort
from orchestrator.store.store import Store, open_store
from tests.databases import Databases, PostgresDatabases, SqliteDatabases, clear
from tests.machines import leave_machine
from tests.servers.errors import ServerUnavailable
from tests.servers.postgres import PostgresServer
from tests.servers.sshd import NO_STARTUP_FILES, SshServer

leave_machine()
os.environ["TZ"] = "UTC"  # people read local times: what is drawn must not depend on where the tests run
time.tzset()
tests.durability.do_without()
_ALLOCATIONS_BETWEEN_SEARCHES = 20_000  # Python's 700 searches a syntax tree a dozen times while it grows
gc.disable()  # until everything is collected: what is imported stays, and a search through it finds nothing

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so started in the background, and inherited by commands
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave a module unread if none of its tests will run: some import pandas, which takes a second of each process."""
    if "not system" not in config.option.markexpr or collection_path.suffix != ".py":
        return None
    is_left_out = "\npytestmark = pytest.mark.system" in collection_path.read_text(encoding="utf-8")
    return is_left_out or None  # None lets others decide


def pytest_collection_finish() -> None:
    """Keep the garbage search off what stays to the end: modules and thousands of collected tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS_BETWEEN_SEARCHES)
    gc.enable()


@pytest.fixture(scope="session")
def ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """One sshd for all tests that leave it as it is; skips where no OpenSSH server is installed."""
    try:
        server = SshServer(tmp_path_factory.mktemp("sshd"), environment=NO_STARTUP_FILES)
    except ServerUnavailable as error:
        pytest.skip(str(error))
    with server:
        yield server


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests that leave it running; skips where it is not installed."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'benchfleet[postgres]'")
    try:
        server = PostgresServer(tmp_path_factory.mktemp("postgres"))
        server.start()
    except ServerUnavailable as error:
        pytest.skip(str(error))
    with server:
        yield server


@pytest.fixture(scope="session")
def sqlite_databases(tmp_path_factory: pytest.TempPathFactory) -> SqliteDatabases:
    """Makes databases that are files."""
    return SqliteDatabases(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def kept_sqlite_store(sqlite_databases: SqliteDatabases) -> Iterator[Store]:
    """One open SQLite store, for suites that need no more than one kind of database."""
    with open_store(sqlite_databases.migrated()) as opened:
        yield opened


@pytest.fixture
def database_file(sqlite_databases: SqliteDatabases, tmp_path: Path) -> Path:
    """`benchfleet.db` in the test's folder, with all tables and no rows: the default database of commands there."""
    file = tmp_path / "benchfleet.db"
    sqlite_databases.copy_to(file)
    return file


@pytest.fixture(scope="session")
def postgres_databases(postgres_server: PostgresServer) -> PostgresDatabases:
    """Makes databases on the one PostgreSQL; itself made once, for it numbers them."""
    return PostgresDatabases(postgres_server)


# Of two kinds that keep one contract, the one without a server tells most: the quick loop leaves the other one out.
@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.system)])
def databases(request: pytest.FixtureRequest) -> Databases:
    """Makes databases of one kind; a test that asks for it runs once for each kind, in any order."""
    named = "sqlite_databases" if request.param == "sqlite" else "postgres_databases"
    found: Databases = request.getfixturevalue(named)
    return found


@pytest.fixture(scope="session")
def kept_store(databases: Databases) -> Iterator[Store]:
    """One open store of each kind, for `store`."""
    with open_store(databases.migrated()) as opened:
        yield opened


@pytest.fixture
def store(kept_store: Store) -> Store:
    """A store without any rows; the test runs once for each kind of database."""
    clear(kept_store)
    return kept_store
