"""Open a database by URL. Acknowledged rows survive a power cut. Errors name a remedy."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from orchestrator.domain.credentials import HIDDEN, without_credentials
from orchestrator.domain.database_url import refuse_mistyped_url
from orchestrator.domain.errors import BadDatabaseUrl, StoreError
from orchestrator.store.console.sqlite_reader import CHANGED, Seal, connect_for_reading
from orchestrator.store.sql.column_types import canonical_json, read_json
from orchestrator.store.sql.database_clock import CLOCK, Clock
from orchestrator.store.sql.errors import READ_ONLY, STANDBY, from_driver, refuse_other_than_file
from orchestrator.store.sql.postgres_url import (
    BUSY_TIMEOUT_S,
    DEFAULTS,
    NAMES,
    OF_A_HOST,
    SHOWN_NAME,
    require_psycopg,
    settings_of_transaction,
)
from orchestrator.store.sql.sqlite_access import may_write, refusal

_PLAIN_QUERY = frozenset({"host", "port", "user", "dbname", "service", "sslmode", "target_session_attrs", *DEFAULTS})
_WRITE = "benchfleet_write"
_IS_READ_ONLY = "25006"
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
        url = make_url(_with_hosts_apart(text))
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


_SEVERAL_HOSTS = re.compile(
    r"(?P<begin>[a-z+]+://(?:[^@/?]*@)?)(?P<hosts>[^@/?]+,[^@/?]+)(?P<database>/[^?]*)(?:\?(?P<query>.*))?", re.DOTALL
)


def _with_hosts_apart(text: str) -> str:
    """Return libpq's URL of several hosts as SQLAlchemy writes it. Every other text stays as it is."""
    found = _SEVERAL_HOSTS.fullmatch(text)
    if found is None:
        return text
    words = [f"host={host}" for host in found["hosts"].split(",")] + ([found["query"]] if found["query"] else [])
    return f"{found['begin']}{found['database']}?{'&'.join(words)}"


def _sqlite_url(path: str) -> URL:
    if path in ("", ":memory:"):
        raise BadDatabaseUrl("the database needs a file", "use sqlite:///path/to/file.db")
    file = Path(path).expanduser().absolute()
    refuse_other_than_file(file)
    return URL.create("sqlite", database=str(file))


def redacted(url: URL) -> str:
    """Return the URL for people to see. Of the query only harmless keys are shown."""
    hidden = {key: HIDDEN for key in url.query if key not in _PLAIN_QUERY}
    shown = url.set(drivername=SHOWN_NAME).update_query_dict(hidden)
    return without_credentials(shown.render_as_string(hide_password=True))


def with_defaults(url: URL) -> URL:
    """Return a PostgreSQL URL completed by our application name and time limits. The URL's own values come first.

    The encoding is ours in any case: it decides what the texts are.
    """
    defaults = {**DEFAULTS, **OF_A_HOST} if url.host or url.query.get("host") else DEFAULTS
    return url.set(query={**defaults, **url.query, "client_encoding": DEFAULTS["client_encoding"]})


class Database:
    """Open transactions to read or write in a database. Usable from any thread.

    `read_only` opens connections which the database engine keeps from writing, for up to READERS threads at a time.
    Further threads wait for a connection.
    """

    def __init__(self, url: URL, clock: Clock | None = None, *, read_only: bool = False) -> None:
        self.url = url
        self.shown = without_credentials(url.database or "") if url.drivername == "sqlite" else redacted(url)
        # A colleague's file is read by all commands that read, and says so where one would write.
        self.may_write = not self.is_sqlite or may_write(Path(str(url.database)))
        if self.is_sqlite:
            is_reader = read_only or not self.may_write
            self._engine = _sqlite_reading_engine(url) if is_reader else _sqlite_engine(url)
        else:
            self._engine = _postgres_engine(url, read_only=read_only)
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
        if not self.may_write:
            raise refusal(Path(str(self.url.database)), str(self.shown))
        with self._transaction({_WRITE: True}) as connection:
            yield connection

    def execute_alone(self, statement: str) -> None:
        """Execute a statement that no transaction may contain. Raise StoreError for a driver's error."""
        with self._engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            try:
                # SQLite begins no transaction by itself here.
                if not self.is_sqlite:
                    driver.autocommit = True
                driver.execute(statement)
            except self._engine.dialect.loaded_dbapi.Error as error:
                raise from_driver(error, str(self.shown)) from error
            finally:
                connection.invalidate()

    def close(self) -> None:
        """Drop every connection."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, options: Mapping[str, Any]) -> Iterator[Connection]:
        try:
            with self._engine.connect().execution_options(**options) as connection, connection.begin():
                yield connection
                _require_unchanged(connection)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == _IS_READ_ONLY:
                raise self._explain_read_only() from error
            raise from_driver(error.orig or error, str(self.shown)) from error

    def _explain_read_only(self) -> StoreError:
        """Tell a standby from a user who may only read: the server has the same words for both."""
        what, hint = READ_ONLY
        with suppress(DBAPIError), self._engine.connect() as connection:
            if connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar_one():
                what, hint = STANDBY
        return StoreError(f"{self.shown}: {what}", hint)


def _sqlite_engine(url: URL) -> Engine:
    # `isolation_level` None leaves BEGIN to us (see `_begin`). The pool gives a connection to one thread at a time.
    engine = create_engine(
        url,
        hide_parameters=True,
        connect_args={"timeout": BUSY_TIMEOUT_S, "isolation_level": None, "check_same_thread": False},
    )

    _explain_texts(engine, str(url.database))

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


class _ReadingConnection(sqlite3.Connection):
    """A connection to an SQLite file, with a seal where the file is read without locks."""

    seal: Seal | None = None


def _require_unchanged(connection: Connection) -> None:
    """Raise OperationalError if what was read without locks may have been changed in the meantime."""
    seal = getattr(connection.connection.driver_connection, "seal", None)
    if seal is not None and seal.is_broken():
        raise OperationalError("", None, sqlite3.OperationalError(CHANGED))


def _sqlite_reading_engine(url: URL) -> Engine:
    """Return an engine for a file that is there. `mode=ro` never makes a file, and `query_only` refuses every write."""
    file = Path(str(url.database)).absolute()

    def connect() -> _ReadingConnection:
        connection, seal = connect_for_reading(file, BUSY_TIMEOUT_S, _ReadingConnection)
        assert isinstance(connection, _ReadingConnection)
        connection.seal = seal
        connection.execute("PRAGMA query_only = ON")
        return connection

    engine = create_engine(url, creator=connect, hide_parameters=True, pool_size=READERS, max_overflow=0)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    @event.listens_for(engine, "checkin")
    def _give_up(connection: _ReadingConnection | None, record: ConnectionPoolEntry) -> None:
        # Read without locks, the next transaction must not find pages of this one.
        if connection is not None and connection.seal is not None:
            record.invalidate()

    _explain_texts(engine, str(url.database))
    return engine


def _enter_wal(connection: Any) -> None:
    """Switch a new file to WAL.

    The switch is tried again while another process does the same, because SQLite's busy timeout does not cover the
    switch.
    """
    import stamina

    stamina.instrumentation.set_on_retry_hooks([])  # the default hooks print every turn

    def is_busy(error: Exception) -> bool:
        return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)

    for turn in stamina.retry_context(
        on=is_busy, timeout=BUSY_TIMEOUT_S, attempts=None, wait_initial=0.01, wait_max=0.2
    ):
        with turn:
            connection.execute("PRAGMA journal_mode = WAL")


def _postgres_engine(url: URL, *, read_only: bool = False) -> Engine:
    # Hidden parameters keep measured values and texts of devices out of errors. The ping replaces connections that a
    # restarted server has closed. Statements prepared by name belong to a session, which a pooler shares out.
    engine = create_engine(
        with_defaults(url),
        connect_args={"prepare_threshold": None},
        hide_parameters=True,
        json_serializer=canonical_json,
        json_deserializer=read_json,
        pool_pre_ping=True,
        pool_size=READERS if read_only else 2,
        max_overflow=0 if read_only else 10,
        # Named, because a role or a database may have another default.
        isolation_level="READ COMMITTED",
        # `BEGIN … READ ONLY`: no URL and no statement can make such a transaction a writing one.
        execution_options={"postgresql_readonly": True} if read_only else {},
    )
    options = str(url.query.get("options", ""))
    reading = settings_of_transaction(options)
    # A limit on statements that a role has is for questions: a run must not be lost by one.
    writing = settings_of_transaction(options, statement_timeout="0")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(writing if connection.get_execution_options().get(_WRITE) else reading)

    _explain_texts(engine, redacted(url))
    return engine


def _explain_texts(engine: Engine, shown: str) -> None:
    """Raise StoreError where a driver cannot encode or decode a text, which no class of its errors covers."""

    @event.listens_for(engine, "handle_error")
    def _explain(context: ExceptionContext) -> None:
        if isinstance(context.original_exception, UnicodeError):
            raise from_driver(context.original_exception, shown) from None
