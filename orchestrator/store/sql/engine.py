"""Open a database by URL. Acknowledged rows survive a power cut. Errors name a remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from orchestrator.domain.credentials import HIDDEN, without_credentials
from orchestrator.domain.database_url import refuse_mistyped_url
from orchestrator.domain.errors import BadDatabaseUrl
from orchestrator.store.sql.column_types import canonical_json
from orchestrator.store.sql.database_clock import CLOCK, Clock
from orchestrator.store.sql.errors import from_driver, refuse_other_than_file
from orchestrator.store.sql.postgres_url import BUSY_TIMEOUT_S, DEFAULTS, NAMES, require_psycopg

_PLAIN_QUERY = frozenset({"host", "port", "user", "dbname", "service", "sslmode", *DEFAULTS}) - {"options"}
_WRITE = "benchfleet_write"
READERS = 8
"""Connections of a database opened for reading: more would wait for the interpreter, not for the database."""


def parse_url(text: str) -> URL:
    """Return the SQLAlchemy URL of `sqlite:///path`, `postgresql://…` or a plain path.

    Raise BadDatabaseUrl for anything else, and StoreError for PostgreSQL without psycopg.
    """
    refuse_mistyped_url(text)
    if "://" not in text:
        return _sqlite_url(text)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        kind = text.split("://", 1)[0]  # show no more of the URL: there may be a password in it
        raise BadDatabaseUrl(
            f"not a database URL: {kind}://… (port not a number, or a special character in the password)",
            "special characters in a password are written %40 for @, %2F for / and so on",
        ) from None
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        file = url.database or ""
        refuse_mistyped_url(f"sqlite:///{file}")
        return _sqlite_url(file)
    if url.drivername in NAMES:
        require_psycopg()
        return url.set(drivername="postgresql+psycopg")
    raise BadDatabaseUrl(
        f"unknown kind of database: {url.drivername}",
        "use sqlite:///path/to/file.db or postgresql://user@host/database",
    )


def _sqlite_url(path: str) -> URL:
    if path in ("", ":memory:"):
        raise BadDatabaseUrl("the database needs a file", "use sqlite:///path/to/file.db")
    file = Path(path).expanduser().absolute()
    refuse_other_than_file(file)
    return URL.create("sqlite", database=str(file))


def redacted(url: URL) -> str:
    """Return the URL for people to see. Of the query only harmless keys are shown."""
    hidden = {key: HIDDEN for key in url.query if key not in _PLAIN_QUERY}
    return without_credentials(url.update_query_dict(hidden).render_as_string(hide_password=True))


def with_defaults(url: URL) -> URL:
    """Return a PostgreSQL URL completed by our application name and time limits. The URL's own values come first."""
    return url.set(query={**DEFAULTS, **url.query})


class Database:
    """Open transactions to read or write in a database. Usable from any thread.

    `read_only` opens connections which the database engine keeps from writing, for up to READERS threads at a time.
    Further threads wait for a connection.
    """

    def __init__(self, url: URL, clock: Clock | None = None, *, read_only: bool = False) -> None:
        self.url = url
        self.shown = without_credentials(url.database or "") if url.drivername == "sqlite" else redacted(url)
        if read_only:
            self._engine = _sqlite_reading_engine(url) if self.is_sqlite else _postgres_reading_engine(url)
        else:
            self._engine = _sqlite_engine(url) if self.is_sqlite else _postgres_engine(url)
        if clock is not None:
            self._engine.update_execution_options(**{CLOCK: clock})

    @property
    def is_sqlite(self) -> bool:
        """Return True if the database is an SQLite file."""
        return self.url.drivername == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Begin a transaction with an unchanging view of the database. Raise StoreError for a driver's error."""
        options: dict[str, Any] = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        with self._transaction(options) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Begin a transaction for writing. The end commits, and an exception rolls back.

        Raise StoreError for a driver's error, including a lock not given back within BUSY_TIMEOUT_S.
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
    # `isolation_level` None leaves BEGIN to us (see `_begin`). The pool gives a connection to one thread at a time.
    engine = create_engine(
        url,
        hide_parameters=True,
        connect_args={"timeout": BUSY_TIMEOUT_S, "isolation_level": None, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        # A commit must be on the disk when it returns: the device then deletes its log.
        connection.execute("PRAGMA synchronous = FULL")
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            _enter_wal(connection)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITE)
        # A writer waits for its turn here: otherwise rows read before the first write could be outdated by then.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _sqlite_reading_engine(url: URL) -> Engine:
    """Return an engine for a file that is there. `mode=ro` never makes a file, and `query_only` refuses every write."""
    file = Path(str(url.database)).absolute().as_uri()
    engine = create_engine(
        url.set(database=file, query={"mode": "ro", "uri": "true"}),
        hide_parameters=True,
        connect_args={"timeout": BUSY_TIMEOUT_S, "isolation_level": None, "check_same_thread": False},
        pool_size=READERS,
        max_overflow=0,
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA query_only = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _postgres_reading_engine(url: URL) -> Engine:
    complete = with_defaults(url)
    # The last of two equal options wins, so that no URL can make the connections writing ones.
    options = f"{complete.query.get('options', '')} -cdefault_transaction_read_only=on".strip()
    return create_engine(
        complete.update_query_dict({"options": options}),
        hide_parameters=True,
        json_serializer=canonical_json,
        pool_pre_ping=True,
        pool_size=READERS,
        max_overflow=0,
        execution_options={"postgresql_readonly": True},
    )


def _enter_wal(connection: Any) -> None:
    """Switch a new file to WAL.

    The switch is tried again while another process does the same, because SQLite's busy timeout does not cover the
    switch.
    """
    import sqlite3

    import stamina

    stamina.instrumentation.set_on_retry_hooks([])  # the default hooks print every turn

    def is_busy(error: Exception) -> bool:
        return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)

    for turn in stamina.retry_context(
        on=is_busy, timeout=BUSY_TIMEOUT_S, attempts=None, wait_initial=0.01, wait_max=0.2
    ):
        with turn:
            connection.execute("PRAGMA journal_mode = WAL")


def _postgres_engine(url: URL) -> Engine:
    # Hidden parameters keep measured values and texts of devices out of errors. The ping replaces connections that a
    # restarted server has closed.
    return create_engine(
        with_defaults(url),
        hide_parameters=True,
        json_serializer=canonical_json,
        pool_pre_ping=True,
        pool_size=2,
    )
