"""Plain SQL by people, unable to write: the database engine itself refuses, not a filter over the text.

SQLite: the file is opened read-only, `query_only` is on, and an authorizer lets statements read and compute, nothing
else: no ATTACH, no PRAGMA that sets something, no extension.

PostgreSQL: one statement of the extended protocol in a READ ONLY transaction, rolled back whatever it did. That covers
every change of the database: tables, sequences, large objects, temporary tables, roles, locks of rows. It does not
cover functions that act outside of it (`pg_read_file`, `lo_export`, `pg_terminate_backend`, `COPY … TO PROGRAM`), which
PostgreSQL gives to superusers and to members of certain roles. So only statements that return rows are taken, and a
superuser is made a plain reader (`pg_read_all_data`) first: that stops accidents, but a superuser can take the powers
back. The account of a dashboard, which others type into, must be one that owns nothing.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from orchestrator.domain.errors import ConfigError, StoreError
from orchestrator.store.errors import from_driver, refuse_folder

if TYPE_CHECKING:
    import psycopg

TIMEOUT_S = 60.0
_PROGRESS_STEPS = 10_000
_VALUE_BYTES_MAX = 64 << 20
_SCHEMA_PRAGMAS = frozenset({"table_info", "table_xinfo", "table_list", "index_list", "index_info", "foreign_key_list"})
_READING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})
_RETURNING_ROWS = ("select", "with", "values", "table", "explain", "show")
_COMMENTS = re.compile(r"\A(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)+", re.DOTALL)
_LOCKED_OUT = "only reading is possible here"
_HINT = "views to begin with: v_latest, v_history, v_variant_compare; the project's docs/schema.md lists everything"


Rows = Generator[Sequence[Any], None, None]


class SqliteConsole:
    """Queries an SQLite file that it can neither make nor change."""

    def __init__(self, file: Path, timeout_s: float = TIMEOUT_S) -> None:
        if not file.exists():
            raise StoreError(f"{file}: there is no such database", "check the path")
        self._file = file
        self._timeout_s = timeout_s
        self._rows = _none()
        try:
            self._connection = _connect(file, timeout_s)
        except sqlite3.Error as error:
            raise from_driver(error, str(file)) from error
        self._connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _VALUE_BYTES_MAX)
        self._connection.set_authorizer(_authorize)

    def query(self, statement: str, limit: int | None = None) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
        """Return column names and rows; raise ConfigError for a statement that is wrong or would write."""
        deadline = time.monotonic() + self._timeout_s
        self._connection.set_progress_handler(lambda: time.monotonic() > deadline, _PROGRESS_STEPS)
        try:
            cursor = self._connection.execute(statement)
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            raise self._explained(error) from None
        if cursor.description is None:
            raise ConfigError("the statement returns no rows", _HINT)
        self._rows.close()
        self._rows = self._read(cursor, limit)
        return [column[0] for column in cursor.description], self._rows

    def close(self) -> None:
        """Let go of the file."""
        self._rows.close()
        self._connection.close()

    def _read(self, cursor: sqlite3.Cursor, limit: int | None) -> Rows:
        with closing(cursor):
            try:
                for place, row in enumerate(cursor):
                    if limit is not None and place >= limit:
                        return
                    yield row
            except sqlite3.Error as error:
                raise self._explained(error) from None

    def _explained(self, error: Exception) -> ConfigError | StoreError:
        said = str(error)
        if "interrupted" in said:
            return ConfigError(f"the query took longer than {self._timeout_s:g} s", "ask for less")
        if "locked" in said or "not a database" in said or "malformed" in said:
            return from_driver(error, str(self._file))
        if any(word in said for word in ("not authorized", "denied", "prohibited", "readonly")):
            return ConfigError(f"{_LOCKED_OUT} ({said})", _HINT)
        return ConfigError(f"SQL: {said}", _HINT)


def _connect(file: Path, timeout_s: float) -> sqlite3.Connection:
    """Open a file for reading, and read from it: only then does SQLite look whether it is a database."""
    connection = sqlite3.connect(
        f"{file.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=timeout_s
    )
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _authorize(action: int, first: str | None, second: str | None, _database: str | None, _by: str | None) -> int:
    if action in _READING:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if second == "load_extension" else sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA and first in _SCHEMA_PRAGMAS:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


class PostgresConsole:
    """Queries a PostgreSQL database in transactions that cannot write."""

    def __init__(self, conninfo: str, shown: str, timeout_s: float = TIMEOUT_S) -> None:
        import psycopg

        self._shown = shown
        self._timeout_s = timeout_s
        self._rows = _none()
        try:
            self._connection = psycopg.connect(conninfo, autocommit=True)
            self._prepare()
        except psycopg.Error as error:
            raise from_driver(error, shown) from None

    def _prepare(self) -> None:
        self._connection.execute("SET default_transaction_read_only = on")
        timeout_ms = f"{int(self._timeout_s * 1000)}"
        self._connection.execute("SELECT set_config('statement_timeout', %s, false)", (timeout_ms,))
        self._connection.execute("SET TIME ZONE 'UTC'")
        superuser = self._connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
        if superuser and superuser[0] and self._connection.info.server_version >= 140000:
            self._connection.execute("SET ROLE pg_read_all_data")

    def query(self, statement: str, limit: int | None = None) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
        """Return column names and rows; raise ConfigError for a statement that is wrong or would write."""
        if not _COMMENTS.sub("", statement, count=1).lstrip("( \n\t").lower().startswith(_RETURNING_ROWS):
            raise ConfigError(f"{_LOCKED_OUT}: begin with {', '.join(_RETURNING_ROWS).upper()}", _HINT)
        self._rows.close()
        self._rows = self._stream(statement, limit)
        columns = next(self._rows)
        return list(columns), self._rows

    def close(self) -> None:
        """Disconnect."""
        self._rows.close()
        self._connection.close()

    def _stream(self, statement: str, limit: int | None) -> Rows:
        """Yield the column names, then the rows; the transaction is rolled back when the caller is done."""
        import psycopg

        try:
            with self._connection.transaction(force_rollback=True):
                # the first query fixes the transaction's mode: afterwards nothing can make it writing
                self._connection.execute("SET TRANSACTION READ ONLY")
                self._connection.execute("SELECT 1")
                with self._connection.cursor() as cursor:
                    yield from _rows(cursor, statement, limit)
        except psycopg.errors.QueryCanceled:
            raise ConfigError(f"the query took longer than {self._timeout_s:g} s", "ask for less") from None
        except (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.InsufficientPrivilege) as error:
            raise ConfigError(f"{_LOCKED_OUT} ({error.diag.message_primary})", _HINT) from None
        except psycopg.OperationalError as error:
            raise from_driver(error, self._shown) from None
        except psycopg.Error as error:
            raise ConfigError(f"SQL: {error.diag.message_primary or error}", _HINT) from None


def _none() -> Rows:
    yield from ()


def _rows(cursor: psycopg.Cursor[Any], statement: str, limit: int | None) -> Rows:
    stream = cast(Rows, cursor.stream(statement.encode()))
    with closing(stream):
        first = next(stream, None)
        yield [column.name for column in cursor.description or ()] or _columns(cursor, statement)
        if first is None or limit == 0:
            return
        yield first
        for place, row in enumerate(stream, 2):
            if limit is not None and place > limit:
                return
            yield row


def _columns(cursor: psycopg.Cursor[Any], statement: str) -> Sequence[str]:
    """Return the columns of an answer without rows, of which psycopg forgets them."""
    connection = cursor.connection.pgconn
    connection.prepare(b"", statement.encode())
    described = connection.describe_prepared(b"")
    return [(described.fname(place) or b"").decode() for place in range(described.nfields)]


def open_console(url: str, timeout_s: float = TIMEOUT_S) -> SqliteConsole | PostgresConsole:
    """Open a database for reading; it is neither made nor upgraded."""
    file = sqlite_file(url)
    if file is not None:
        refuse_folder(file)
        return SqliteConsole(file, timeout_s)
    from orchestrator.store.engine import parse_url, redacted, with_defaults

    parsed = parse_url(url)
    if parsed.drivername == "sqlite":
        return SqliteConsole(Path(str(parsed.database)), timeout_s)
    conninfo = with_defaults(parsed).set(drivername="postgresql").render_as_string(hide_password=False)
    return PostgresConsole(conninfo, redacted(parsed), timeout_s)


def sqlite_file(url: str) -> Path | None:
    """Return the file of a plain path or a plain SQLite URL; None where it takes SQLAlchemy to tell.

    Importing that takes longer than all that a reading command does.
    """
    path = url.removeprefix("sqlite:///")
    if path in ("", ":memory:") or "://" in path or "?" in path:
        return None
    return Path(path).expanduser().absolute()
