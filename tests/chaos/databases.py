"""The database of a history as it looks from outside, and what can happen to it."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Protocol

from tests import disks
from tests.chaos.controllers import Controller
from tests.servers import processes
from tests.servers.postgres import PostgresServer

Row = tuple[Any, ...]
SERVER_DISK_BYTES = 192 << 20


class ChaosDatabase(Protocol):
    """A database that can be looked into, locked, taken away, and filled up."""

    url: str
    tables: str
    now: str
    """Statements of its kind: the names of its tables, and the present time as its columns have it."""

    def rows(self, statement: str) -> Sequence[Row]:
        """Return what a statement finds, without our own code."""

    def lock(self) -> None:
        """Let nobody write."""

    def unlock(self) -> None:
        """Let everybody write again."""

    def take_away(self) -> None:
        """Let nobody find it."""

    def bring_back(self) -> None:
        """Let it be found where it was, as it was."""

    def fill(self, controller: Controller, bytes_left: int) -> None:
        """Let it grow by so much and no more."""

    def free(self, controller: Controller) -> None:
        """Let it grow again."""


class SqliteFile:
    """A file in a folder of its own, so that it moves with its log."""

    tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
    now = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"

    def __init__(self, folder: Path, template: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._file = folder / "benchfleet.db"
        shutil.copyfile(template, self._file)
        self.url = f"sqlite:///{self._file}"
        self._lock: sqlite3.Connection | None = None

    def rows(self, statement: str) -> Sequence[Row]:
        """Return what a statement finds, without our own code."""
        with closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True, timeout=5)) as connection:
            return connection.execute(statement).fetchall()

    def lock(self) -> None:
        """Hold the one write lock that there is."""
        self._lock = sqlite3.connect(self._file, isolation_level=None, timeout=30, check_same_thread=False)
        self._lock.execute("BEGIN IMMEDIATE")

    def unlock(self) -> None:
        """Let it go."""
        if self._lock is not None:
            self._lock.rollback()
            self._lock.close()
            self._lock = None

    def take_away(self) -> None:
        """Move the folder, as when its disk is unmounted."""
        self._folder.rename(self._folder.with_suffix(".away"))

    def bring_back(self) -> None:
        """Move the folder back, over whatever stands in its place meanwhile."""
        away = self._folder.with_suffix(".away")
        if away.exists():
            shutil.rmtree(self._folder, ignore_errors=True)
            away.rename(self._folder)

    def fill(self, controller: Controller, bytes_left: int) -> None:
        """Limit the size of the files that the controller writes: its log may grow by so much."""
        sizes = [path.stat().st_size for path in self._folder.iterdir() if path.name.endswith("-wal")]
        controller.limit_files(max([0, *sizes]) + bytes_left)

    def free(self, controller: Controller) -> None:
        """End the limit."""
        controller.limit_files(processes.NO_LIMIT)


class PostgresDatabase:
    """A database on a server of its own, whose disk may be a small one."""

    tables = "SELECT tablename FROM pg_tables"
    now = "now()"

    def __init__(self, server: PostgresServer, url: str, disk: Path | None) -> None:
        self.url = url
        self._disk = disk
        self._plain = url.replace("+psycopg", "")
        self._server = server
        self._lock: Any = None

    def rows(self, statement: str) -> Sequence[Row]:
        """Return what a statement finds, without our own code."""
        import psycopg

        with psycopg.connect(self._plain, autocommit=True) as connection:
            return connection.execute(statement.encode()).fetchall()

    def lock(self) -> None:
        """Hold the tables that results are written to."""
        import psycopg

        self._lock = psycopg.connect(self._plain)
        self._lock.execute("LOCK TABLE run_device, event_offset, attempt IN EXCLUSIVE MODE")

    def unlock(self) -> None:
        """Let them go."""
        if self._lock is not None:
            self._lock.close()  # which asks the server nothing: it may have been taken away
            self._lock = None

    def take_away(self) -> None:
        """Stop the server."""
        self._server.stop()

    def bring_back(self) -> None:
        """Start it again."""
        self._server.start()

    def fill(self, controller: Controller, bytes_left: int) -> None:
        """Fill the server's disk, which is a small one."""
        assert self._disk is not None
        disks.fill(self._disk / "filler", bytes_left=bytes_left)

    def free(self, controller: Controller) -> None:
        """End the limit."""
        if self._disk is not None:
            (self._disk / "filler").unlink(missing_ok=True)


def migrated_template(folder: Path, lab_argv: Sequence[str], environment: dict[str, str]) -> Path:
    """Return a new SQLite file with all tables, made by the command itself."""
    file = folder / "template.db"
    command = [*lab_argv, "db", "upgrade", "--db", f"sqlite:///{file}"]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file


def small_disk(stack: ExitStack) -> Path:
    """Mount a disk that a PostgreSQL server just fits on, which needs root."""
    folder = Path(tempfile.mkdtemp(prefix="benchfleet-chaos-disk-"))
    stack.callback(folder.rmdir)
    folder.chmod(0o755)
    disk = stack.enter_context(disks.mounted(folder, SERVER_DISK_BYTES))
    disk.chmod(0o755)  # the server's own user has to get in
    return disk
