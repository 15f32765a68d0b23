"""Read an SQLite file for statements typed by people: in the calling process, or as a separate program.

`main` makes the module a program for a single statement over the standard streams. The program needs the standard
library alone, beside its neighbours here, because a start without site-packages takes a few hundredths of a second.
"""

from __future__ import annotations

import marshal
import os
import sqlite3
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from orchestrator.store.console.postgres_words import in_sqlite_words
from orchestrator.store.console.sqlite_aggregates import AGGREGATES, TOO_MANY, Failures, add_aggregates

VALUE_BYTES_MAX = 16 << 20
"""The longest value of a result or of a computation. A sample block of the largest record has about 8 MiB."""

ROW_BYTES_MAX = 64 << 20
_HEAP_BYTES_MAX = 256 << 20
_STATEMENT_BYTES_MAX = 1 << 20
_PATTERN_BYTES_MAX = 1_000
_PROGRESS_STEPS = 10_000  # virtual machine steps of SQLite between two looks at the clock
_BATCH_BYTES = 64 << 10
_BATCH_S = 0.1
_HEADER = struct.Struct("<Q")
HEADER_BYTES = _HEADER.size
"""The length of what comes before each message: the message's length."""

INTERRUPTED = "interrupted"
CHANGED = "changed while it was read"
UNTIDY = "its last writer has left a journal"
"""What is told of a file that can be read without locks alone, and of one that cannot be read even so."""
TOO_MUCH_MEMORY = "out of memory"

_SCHEMA_PRAGMAS = frozenset({"table_info", "table_xinfo", "table_list", "index_list", "index_info", "foreign_key_list"})
_VIRTUAL_TABLES = frozenset({"json_each", "json_tree", "generate_series", *(f"pragma_{it}" for it in _SCHEMA_PRAGMAS)})
_SCHEMA_TABLES = frozenset({"sqlite_master", "sqlite_schema", "sqlite_temp_master", "sqlite_temp_schema"})
_READING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE})

_COMPUTING = """
    -> ->> abs acos acosh asin asinh atan atan2 atanh avg ceil ceiling changes char coalesce concat concat_ws cos cosh
    count cume_dist current_date current_time current_timestamp date datetime degrees dense_rank exp first_value floor
    format glob group_concat hex if ifnull iif instr json json_array json_array_length json_error_position json_extract
    json_group_array json_group_object json_insert json_object json_patch json_pretty json_quote json_remove
    json_replace json_set json_type json_valid julianday lag last_insert_rowid last_value lead length like likelihood
    likely ln log log10 log2 lower ltrim max median min mod nth_value ntile nullif octet_length percent_rank percentile
    percentile_cont percentile_disc pi pow power printf quote radians random randomblob rank replace round row_number
    rtrim sign sin sinh soundex sqlite_compileoption_get sqlite_compileoption_used sqlite_source_id sqlite_version sqrt
    strftime string_agg substr substring sum tan tanh time timediff total total_changes trim trunc typeof unhex unicode
    unixepoch unlikely upper zeroblob
"""
FUNCTIONS = frozenset(_COMPUTING.split()) | AGGREGATES
"""The functions that compute and do nothing else. A function of a newer SQLite is refused until it stands here."""


class Unreadable(Exception):
    """Raised for an unopenable file, with SQLite's words."""


class Refused(Exception):
    """Raised for a failing statement, with SQLite's words."""


class Seal:
    """The state of a file that is read without locks: whatever was read counts only if the state is still the same."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._state = self._look()

    def is_broken(self) -> bool:
        """Return True once a writer may have changed what was read."""
        return self._look() != self._state

    def _look(self) -> tuple[int, ...]:
        # A writer works beside the file, in the journal, until its content moves into the file.
        info = self._file.stat()
        return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns


def connect_for_reading(
    file: Path, timeout_s: float, factory: type[sqlite3.Connection] = sqlite3.Connection
) -> tuple[sqlite3.Connection, Seal | None]:
    """Open a file for reading alone. Return a seal beside the connection if the file can be read without locks alone.

    The locks of a file in WAL mode are in a second file. Whoever may not write in the folder cannot make that file
    once the last writer has gone. Raise sqlite3.Error for an unreadable file.
    """
    try:
        uri, seal = file.absolute().as_uri(), Seal(file)
    except OSError as error:
        raise sqlite3.OperationalError(f"unable to open database file: {error.strerror}") from None
    connection = _open(f"{uri}?mode=ro", timeout_s, factory)
    try:
        connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").close()  # SQLite looks at the file only now
    except sqlite3.OperationalError as error:
        connection.close()
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        if _has_content(file.resolve().with_name(f"{file.resolve().name}-wal")):
            raise sqlite3.OperationalError(UNTIDY) from None
    except sqlite3.Error:
        connection.close()
        raise
    else:
        return connection, None
    return _open(f"{uri}?mode=ro&immutable=1", timeout_s, factory), seal


def _open(uri: str, timeout_s: float, factory: type[sqlite3.Connection]) -> sqlite3.Connection:
    # The pool of an engine gives a connection to one thread at a time.
    return sqlite3.connect(
        uri, uri=True, isolation_level=None, timeout=timeout_s, check_same_thread=False, factory=factory
    )


def _has_content(journal: Path) -> bool:
    return journal.exists() and journal.stat().st_size > 0


class SqliteReader:
    """Read a single file. Only tables, views and computing functions are within reach of a statement.

    `heap_bytes_max` bounds SQLite's memory in the whole process, and keeps SQLite from temporary files. 0 leaves both
    unbounded.
    """

    def __init__(self, file: Path, timeout_s: float, heap_bytes_max: int = 0) -> None:
        try:
            self._connection, self._seal, self._failures = _connect(file, timeout_s, heap_bytes_max)
        except (sqlite3.Error, OSError) as error:
            raise Unreadable(str(error)) from None
        self._timeout_s = timeout_s
        self.deadline = 0.0

    def query(
        self, statement: str, limit: int | None = None, values: Sequence[str] = ()
    ) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
        """Return column names and rows; raise Refused for a wrong, writing or slow statement."""
        # SQLite takes $1 for a name: one text of a statement then suits PostgreSQL too.
        named = {str(place): value for place, value in enumerate(values, 1)}
        self.deadline = time.monotonic() + self._timeout_s
        self._connection.set_progress_handler(lambda: time.monotonic() > self.deadline, _PROGRESS_STEPS)
        self._failures.clear()
        own = statement if len(statement) > _STATEMENT_BYTES_MAX else in_sqlite_words(statement)
        cursor = _told(lambda: self._connection.execute(own, named), self._failures)
        return [column[0] for column in cursor.description or ()], self._rows(cursor, limit)

    def names(self) -> Sequence[tuple[str, str]]:
        """Return the tables and views of the file with each of their columns."""
        return list(_told(lambda: self._connection.execute(_NAMES).fetchall(), self._failures))

    def _rows(self, cursor: sqlite3.Cursor, limit: int | None) -> Iterator[Sequence[Any]]:
        yield from _rows(cursor, limit, self._failures)
        if self._seal is not None and self._seal.is_broken():
            raise Refused(CHANGED)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


_NAMES = """
    SELECT owner.name, part.name FROM sqlite_schema AS owner, pragma_table_info(owner.name) AS part
    WHERE owner.type IN ('table', 'view')
"""


def _connect(file: Path, timeout_s: float, heap_bytes_max: int) -> tuple[sqlite3.Connection, Seal | None, Failures]:
    """Open a file for statements of people. Raise sqlite3.Error if the file is no database."""
    connection, seal = connect_for_reading(file, timeout_s)
    try:
        connection.execute("PRAGMA query_only = ON")
        if heap_bytes_max:
            connection.execute(f"PRAGMA hard_heap_limit = {heap_bytes_max:d}")
            # A bound of the memory alone would send large sorts into temporary files of any size.
            connection.execute("PRAGMA temp_store = MEMORY")
        tables = _readable_tables(connection)
        for name in _VIRTUAL_TABLES:
            _construct(connection, name)
        failures = add_aggregates(connection)
    except sqlite3.Error:
        connection.close()
        raise
    for limit, most in (
        (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
        (sqlite3.SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX),
        (sqlite3.SQLITE_LIMIT_SQL_LENGTH, _STATEMENT_BYTES_MAX),
        (sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, _PATTERN_BYTES_MAX),
    ):
        connection.setlimit(limit, most)
    connection.set_authorizer(_authorizer(tables, _modules(connection)))
    return connection, seal, failures


def _readable_tables(connection: sqlite3.Connection) -> frozenset[str]:
    """Return the names of the file's tables and views. A virtual table has no root page."""
    rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'view' OR type = 'table' AND rootpage > 0")
    return _SCHEMA_TABLES | _VIRTUAL_TABLES | {str(name).lower() for (name,) in rows}


def _modules(connection: sqlite3.Connection) -> frozenset[str]:
    return frozenset(str(name).lower() for (name,) in connection.execute("PRAGMA module_list"))


def _construct(connection: sqlite3.Connection, table: str) -> None:
    """Construct an undeclared virtual table, unless the SQLite at hand has none of the name."""
    # The construction writes into the schema in memory. The authorizer refuses that, so the others stay out of reach.
    try:
        connection.execute(f"SELECT 1 FROM {table} LIMIT 0").close()  # noqa: S608 - a name of our own
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise


def _authorizer(tables: frozenset[str], modules: frozenset[str]) -> Callable[..., int]:
    def reads(table: str, column: str) -> bool:
        if table in tables:
            return True
        # A common table expression of which no column is read is named here too.
        return column == "" and table not in modules and not table.startswith("pragma_")

    def authorize(action: int, first: str | None, second: str | None, _database: str | None, _by: str | None) -> int:
        allowed = (
            action in _READING
            or (action == sqlite3.SQLITE_READ and reads((first or "").lower(), second or ""))
            or (action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in FUNCTIONS)
            # Only pragmas that show the schema: many others set something.
            or (action == sqlite3.SQLITE_PRAGMA and first in _SCHEMA_PRAGMAS)
        )
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY

    return authorize


def _told(act: Callable[[], Any], failures: Failures) -> Any:
    try:
        return act()
    except MemoryError:
        raise Refused(TOO_MUCH_MEMORY) from None
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        # SQLite says of an aggregate that it failed, and not why.
        reason = failures.reason or str(error)
        raise Refused(TOO_MUCH_MEMORY if reason == TOO_MANY else reason) from None


def _rows(cursor: sqlite3.Cursor, limit: int | None, failures: Failures) -> Iterator[Sequence[Any]]:
    place = 0
    try:
        while limit is None or place < limit:
            row = _told(cursor.fetchone, failures)
            if row is None:
                return
            place += 1
            yield row
    finally:
        # An unread result keeps a transaction open, and with it an old view of the database.
        cursor.close()


def read_frame(stream: BinaryIO) -> Any:
    """Return the next message of a stream. Raise EOFError at the end."""
    header = stream.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        raise EOFError
    return marshal.loads(stream.read(_HEADER.unpack(header)[0]))  # noqa: S302 - from the process that asks


def frame(message: Any) -> bytes:
    """Return a message of plain values as bytes."""
    content = marshal.dumps(message)
    return _HEADER.pack(len(content)) + content


def frame_length(data: bytearray) -> int | None:
    """Return the length of the first message with the header, or None for a header still incomplete."""
    return HEADER_BYTES + int(_HEADER.unpack_from(data)[0]) if len(data) >= HEADER_BYTES else None


def main() -> None:
    """Answer the single statement on standard input, and end early once standard input ends."""
    file, timeout_s = sys.argv[1], float(sys.argv[2])
    _serve(Path(file), timeout_s, sys.stdin.buffer, sys.stdout.buffer)


def _serve(file: Path, timeout_s: float, asked: BinaryIO, out: BinaryIO) -> None:
    def say(kind: str, content: Any = None) -> None:
        out.write(frame((kind, content)))
        out.flush()

    try:
        reader = SqliteReader(file, timeout_s, _HEAP_BYTES_MAX)
    except Unreadable as error:
        say("unreadable", str(error))
        return
    say("ready")
    statement, limit, values = read_frame(asked)
    threading.Thread(target=_end_with, args=(asked,), daemon=True).start()
    try:
        columns, rows = reader.query(statement, limit, values)
        say("columns", columns)
        _send_rows(reader, rows, say)
        say("end")
    except Refused as error:
        say("refused", str(error))


def _end_with(asked: BinaryIO) -> None:
    """End the process with its parent, also in the middle of a function of SQLite: SQLite holds no lock of Python."""
    asked.read(1)
    os._exit(1)


def _send_rows(reader: SqliteReader, rows: Iterator[Sequence[Any]], say: Callable[..., None]) -> None:
    batch: list[Sequence[Any]] = []
    size, since = 0, time.monotonic()
    for row in rows:
        wide = sum(len(value) if isinstance(value, str | bytes) else 8 for value in row)
        if wide > ROW_BYTES_MAX:
            raise Refused(f"a row of {wide} bytes, more than {ROW_BYTES_MAX}")
        batch.append(row)
        size += wide
        now = time.monotonic()
        if size >= _BATCH_BYTES or now - since >= _BATCH_S:
            say("rows", batch)
            # A reader that takes its time does not use up the statement's.
            since = time.monotonic()
            reader.deadline += since - now
            batch, size = [], 0
    say("rows", batch)
