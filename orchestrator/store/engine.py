"""Open a database by its URL, so that acknowledged rows survive a power cut and errors say what to do.

A device deletes its log once the database has it, so SQLite runs with WAL and `synchronous=FULL`: a commit is on the
disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from orchestrator.domain.errors import BadDatabaseUrl, StoreError
from orchestrator.store.column_types import canonical_json
from orchestrator.store.errors import from_driver, refuse_folder

BUSY_TIMEOUT_S = 30
CONNECT_TIMEOUT_S = 10
_POSTGRES_DEFAULTS = {
    "application_name": "benchfleet",
    "connect_timeout": str(CONNECT_TIMEOUT_S),
    "options": f"-clock_timeout={BUSY_TIMEOUT_S}s",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
"""A server that is gone without a word, or a lock that is never given back, must not hold a run for ever."""
_WRITE = "benchfleet_write"
_POSTGRES_NAMES = ("postgresql", "postgres", "postgresql+psycopg")


def parse_url(text: str) -> URL:
    """Return the SQLAlchemy URL of `sqlite:///path`, `postgresql://…` or a plain path; else raise BadDatabaseUrl."""
    if "://" not in text:
        return _sqlite_url(text)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        kind = text.split("://", 1)[0]
        raise BadDatabaseUrl(
            f"not a database URL: {kind}://… (port not a number, or a special character in the password)",
            "special characters in a password are written %40 for @, %2F for / and so on",
        ) from None
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        return _sqlite_url(url.database or "")
    if url.drivername in _POSTGRES_NAMES:
        _require_psycopg()
        return url.set(drivername="postgresql+psycopg")
    raise BadDatabaseUrl(
        f"unknown kind of database: {url.drivername}",
        "use sqlite:///path/to/file.db or postgresql://user@host/database",
    )


def _sqlite_url(path: str) -> URL:
    if path in ("", ":memory:"):
        raise BadDatabaseUrl("the database needs a file", "use sqlite:///path/to/file.db")
    file = Path(path).expanduser().absolute()
    refuse_folder(file)
    return URL.create("sqlite", database=str(file))


def _require_psycopg() -> None:
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise StoreError(
            f"PostgreSQL needs psycopg, which cannot be imported: {error}", "pip install 'benchfleet[postgres]'"
        ) from None


def redacted(url: URL) -> str:
    """Return the URL as people may see it: every password is ***."""
    hidden = {key: "***" for key in url.query if "password" in key.lower()}
    return url.update_query_dict(hidden).render_as_string(hide_password=True)


def with_defaults(url: URL) -> URL:
    """Return a PostgreSQL URL that says who we are and gives up in time, unless it says otherwise."""
    return url.set(query={**_POSTGRES_DEFAULTS, **url.query})


class Database:
    """An open database: transactions to read in and transactions to write in, usable from any thread."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.shown = url.database if url.drivername == "sqlite" else redacted(url)
        self._engine = _sqlite_engine(url) if self.is_sqlite else _postgres_engine(url)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is a file."""
        return self.url.drivername == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Begin a transaction that sees one state of the database."""
        options: dict[str, Any] = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        with self._transaction(options) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Begin a transaction that may write; it is committed at the end, or rolled back by an exception.

        On SQLite it waits for its turn at the beginning, so that what it read is still true when it writes.
        """
        with self._transaction({_WRITE: True}) as connection:
            yield connection

    def close(self) -> None:
        """Drop every connection."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, options: Mapping[str, Any]) -> Iterator[Connection]:
        try:
            with self._engine.connect().execution_options(**options) as connection, connection.begin():
                yield connection
        except DBAPIError as error:
            raise from_driver(error.orig or error, str(self.shown)) from error


def _sqlite_engine(url: URL) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,
        connect_args={"timeout": BUSY_TIMEOUT_S, "isolation_level": None, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            _enter_wal(connection)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITE)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _enter_wal(connection: Any) -> None:
    """Switch a new file to WAL; SQLite does not wait for another process that is just doing the same, so try again."""
    import sqlite3

    import stamina

    stamina.instrumentation.set_on_retry_hooks([])  # it would print every turn

    def is_busy(error: Exception) -> bool:
        return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)

    for turn in stamina.retry_context(
        on=is_busy, timeout=BUSY_TIMEOUT_S, attempts=None, wait_initial=0.01, wait_max=0.2
    ):
        with turn:
            connection.execute("PRAGMA journal_mode = WAL")


def _postgres_engine(url: URL) -> Engine:
    return create_engine(
        with_defaults(url),
        hide_parameters=True,
        json_serializer=canonical_json,
        pool_pre_ping=True,
        pool_size=2,
    )
