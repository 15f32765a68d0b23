"""Answer SQL over an SQLite file from a killable process.

A function of SQLite cannot be interrupted: `instr` of two long texts takes hours. Neither a time limit nor Ctrl-C nor
SIGTERM ends such a call in the calling process.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import select
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from orchestrator.domain.errors import ConfigError, StoreError
from orchestrator.store.console import sqlite_reader
from orchestrator.store.console.sqlite_reader import INTERRUPTED, TOO_MUCH_MEMORY, SqliteReader, Unreadable
from orchestrator.store.console.wording import HINT, LOCKED_OUT, Names, too_long, wrong_statement
from orchestrator.store.sql.errors import from_driver
from orchestrator.store.sql.sqlite_access import is_there

_GRACE_S = 1.0
"""How much longer than the statement's own limit the process may take to say so."""

_READ_BYTES = 1 << 20

_ROOT = str(Path(sqlite_reader.__file__).resolve().parents[3])
_READ = (
    "import sys; sys.path.append(sys.argv.pop(1)); from orchestrator.store.console import sqlite_reader as r; r.main()"
)

_UNLISTED = {"not authorized to use function: ": "function", "vtable constructor failed: ": "table"}
"""How SQLite words the refusal of what is in no list."""

Rows = Generator[Sequence[Any], None, None]


class SqliteConsole:
    """Query an SQLite file, without a way to create or change the file. A process of its own answers each statement."""

    def __init__(self, file: Path, timeout_s: float) -> None:
        _require(file)
        self._file = file
        self._timeout_s = timeout_s
        self._answer = _Answer(file, timeout_s)

    def query(
        self, statement: str, limit: int | None = None, values: Sequence[str] = ()
    ) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
        """Return column names and rows; raise ConfigError for a statement that is wrong or would write."""
        if self._answer.asked:
            self._answer.close()
            self._answer = _Answer(self._file, self._timeout_s)
        columns, rows = self._answer.ask(statement, limit, values)
        if not columns:
            raise ConfigError("the statement returns no rows", HINT)
        return columns, rows

    def close(self) -> None:
        """End the process."""
        self._answer.close()


class InProcessConsole:
    """Query an SQLite file in the calling process, for statements of benchfleet: a long function has no end here."""

    def __init__(self, file: Path, timeout_s: float) -> None:
        _require(file)
        self._file = file
        self._timeout_s = timeout_s
        try:
            self._reader = SqliteReader(file, timeout_s)
        except Unreadable as error:
            raise from_driver(error, str(file)) from None

    def query(
        self, statement: str, limit: int | None = None, values: Sequence[str] = ()
    ) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
        """Return column names and rows; raise ConfigError for a statement that is wrong or would write."""
        try:
            columns, rows = self._reader.query(statement, limit, values)
        except sqlite_reader.Refused as error:
            raise _explained(str(error), self._file, self._timeout_s, statement) from None
        return columns, self._explaining(rows, statement)

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def _explaining(self, rows: Iterator[Sequence[Any]], statement: str) -> Rows:
        try:
            yield from rows
        except sqlite_reader.Refused as error:
            raise _explained(str(error), self._file, self._timeout_s, statement) from None


class _Answer:
    """Hold the process for a statement. Closing kills the process, in the middle of any function of SQLite."""

    def __init__(self, file: Path, timeout_s: float) -> None:
        self.asked = False
        self._statement = ""
        self._file = file
        self._timeout_s = timeout_s
        self._left_s = timeout_s + _GRACE_S
        self._data = bytearray()
        self._process = subprocess.Popen(
            # Isolated and without site-packages: nothing is imported from the working folder, and of what is installed
            # only the reader with its neighbours.
            [sys.executable, "-I", "-S", "-c", _READ, _ROOT, str(file.absolute()), str(timeout_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Ctrl-C is for this process, which kills the other.
            start_new_session=True,
        )
        try:
            self._expect("ready")
        except BaseException:
            self.close()
            raise

    def ask(self, statement: str, limit: int | None, values: Sequence[str]) -> tuple[Sequence[str], Rows]:
        """Return the columns, and the rows as rows come."""
        self.asked, self._statement = True, statement
        self._left_s = self._timeout_s + _GRACE_S
        try:
            assert self._process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(sqlite_reader.frame((statement, limit, tuple(values))))
                self._process.stdin.flush()
            columns = self._expect("columns")
        except BaseException:
            self.close()
            raise
        return columns, self._rows()

    def close(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _rows(self) -> Rows:
        try:
            while True:
                kind, content = self._message()
                if kind == "end":
                    return
                yield from content
        finally:
            self.close()

    def _expect(self, kind: str) -> Any:
        found, content = self._message()
        assert found == kind
        return content

    def _message(self) -> tuple[str, Any]:
        """Return the next message. Raise the error told by the process, or the error of its death."""
        while (length := sqlite_reader.frame_length(self._data)) is None or len(self._data) < length:
            self._data += self._read()
        with memoryview(self._data) as data:
            kind, content = marshal.loads(data[sqlite_reader.HEADER_BYTES : length])  # noqa: S302 - our own child
        del self._data[:length]
        if kind == "unreadable":
            raise from_driver(Unreadable(content), str(self._file))
        if kind == "refused":
            raise _explained(content, self._file, self._timeout_s, self._statement)
        return kind, content

    def _read(self) -> bytes:
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        begun = time.monotonic()
        waiting = select.poll()
        waiting.register(pipe, select.POLLIN)
        ready = waiting.poll(max(0.0, self._left_s) * 1000)
        # Only the waiting counts: a reader of the rows may take any time.
        self._left_s -= time.monotonic() - begun
        if not ready:
            raise too_long(self._timeout_s)
        data = os.read(pipe, _READ_BYTES)
        if not data:
            status = self._process.wait()
            raise StoreError(
                f"{self._file}: the process that reads it ended with exit status {status}",
                "ask for less, or look for what kills processes, such as a lack of memory (dmesg)",
            )
        return data


def _require(file: Path) -> None:
    if not is_there(file):
        raise StoreError(f"{file}: there is no such database", "check the path")


def _explained(said: str, file: Path, timeout_s: float, statement: str) -> ConfigError | StoreError:
    if said == INTERRUPTED:
        return too_long(timeout_s)
    if said == TOO_MUCH_MEMORY:
        return ConfigError("the query takes too much memory", "ask for less: sort and group fewer rows or columns")
    if "locked" in said or "not a database" in said or "malformed" in said or said == sqlite_reader.CHANGED:
        return from_driver(Unreadable(said), str(file))
    if said == "string or blob too big":
        return ConfigError(
            f"a value of more than {sqlite_reader.VALUE_BYTES_MAX >> 20} MiB", "ask for less: substr() of long values"
        )
    for begin, kind in _UNLISTED.items():
        if said.startswith(begin):
            name = said.removeprefix(begin)
            return ConfigError(f"{LOCKED_OUT}: the {kind} {name} is not among those that a query may use", HINT)
    if any(word in said for word in ("not authorized", "denied", "prohibited", "readonly", "constructor failed")):
        return ConfigError(f"{LOCKED_OUT} ({said})", HINT)
    return wrong_statement(said, statement, lambda: _names(file, timeout_s))


def _names(file: Path, timeout_s: float) -> Names:
    """Return what a statement could have named. An unreadable file has no names."""
    try:
        with contextlib.closing(SqliteReader(file, timeout_s)) as reader:
            return Names(reader.names(), sqlite_reader.FUNCTIONS)
    except (Unreadable, sqlite_reader.Refused):
        return Names((), ())
