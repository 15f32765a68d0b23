"""What bad luck gets of the queue: a database that goes away, and a submission that is cut in the middle."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from orchestrator.store.store import open_store
from tests.databases import PostgresDatabases, SqliteDatabases
from tests.lab import OK_PROGRAM
from tests.servers.postgres import PostgresServer
from tests.servers.processes import wait_until
from tests.system.test_queue import GATED, QueueLab

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
HOUR_LATER = (
    "UPDATE daemon SET expires_at = expires_at - INTERVAL '1 hour' WHERE ended_at IS NULL",
    "UPDATE lease SET expires_at = expires_at - INTERVAL '1 hour' WHERE ended_at IS NULL",
    "UPDATE submission SET claimed_at = claimed_at - INTERVAL '1 hour' WHERE claimed_at IS NOT NULL",
    "UPDATE schedule SET fires_at = fires_at - INTERVAL '1 hour'",
)
"""The clock goes on by an hour: every moment on record lies an hour further back."""


def test_a_database_that_goes_away_for_an_hour(tmp_path: Path) -> None:
    """The device goes on by itself, the daemon waits and says so, and what was due in that hour comes once."""
    folder = tmp_path / "gates"
    folder.mkdir()
    with PostgresServer(tmp_path) as server:
        lab = QueueLab(tmp_path / "lab", PostgresDatabases(server).migrated())
        lab.write_exec_sweep(GATED.format(folder=folder) + OK_PROGRAM, "one", trials=3)
        lab.write_exec_sweep(name="two", trials=1)
        assert lab.run("submit", "one.yaml").returncode == 0
        assert lab.run("schedule", "add", "two.yaml", "--cron", "0 2 29 2 *", "--zone", "UTC").returncode == 0
        daemon = lab.start("daemon")
        said = lab.directory / "said.txt"
        try:
            wait_until((folder / "started-0").exists, "the first trial has begun", 120)
            with open_store(lab.url) as store, store.database.write() as connection:
                connection.execute(text("UPDATE schedule SET fires_at = added_at + INTERVAL '30 minutes'"))
            server.stop()
            for number in range(3):
                wait_until((folder / f"started-{number}").exists, "the device goes on by itself", 60)
                (folder / f"gate-{number}").touch()
            wait_until(lambda: "trying again" in said.read_text(), "the daemon says what it waits for", 120)
            assert daemon.poll() is None
            server.start()
            with open_store(lab.url) as store, store.database.write() as connection:
                for statement in HOUR_LATER:
                    connection.execute(text(statement))
            wait_until(lambda: lab.states() == {"one": "ended", "two": "ended"}, "both runs are complete", 120)
        finally:
            daemon.terminate()
            daemon.wait(60)
        assert lab.counted() == {"one": [1, 1, 1], "two": [1]}
        assert "Traceback" not in said.read_text()
        assert "the database answers again" in said.read_text()
        assert lab.rows("SELECT COUNT(*) AS runs FROM submission WHERE schedule = 'two'") == [{"runs": 1}]


def test_a_submission_that_is_cut_has_submitted_nothing_and_goes_on(
    sqlite_databases: SqliteDatabases, tmp_path: Path
) -> None:
    """The command is killed between two chunks, by a database that is held meanwhile."""
    lab = QueueLab(tmp_path / "lab", sqlite_databases.migrated())
    size = 64 << 20
    runtime = {"name": "shell", "command": ["sh", "one.sh"], "files": ["one.sh", "large.bin"]}
    lab.write("one.sh", OK_PROGRAM)
    (lab.directory / "large.bin").write_bytes(os.urandom(1 << 20) * (size >> 20))
    lab.write_exec_sweep(name="one", trials=1, runtimes=[{"exec": runtime}])

    def chunks() -> int:
        (found,) = lab.rows(
            "SELECT COUNT(*) AS n FROM blob_chunk b JOIN stored_blob s ON s.sha256 = b.sha256"
            f" WHERE s.size_bytes = {size}"
        )
        return int(found["n"])

    command = lab.start("submit", "one.yaml")
    with closing(sqlite3.connect(lab.url.removeprefix("sqlite:///"), timeout=60, isolation_level=None)) as other:
        wait_until(
            lambda: chunks() > 0,
            "the first chunk is there",
            60,
        )
        other.execute("BEGIN IMMEDIATE")
        command.kill()
        command.wait(30)
        other.execute("ROLLBACK")
    kept = chunks()
    assert 0 < kept < size >> 20
    assert lab.states() == {}
    done = lab.run("submit", "one.yaml")
    assert done.returncode == 0, done.stderr
    assert f"large.bin: {size - (kept << 20)} bytes of {size}, the others are there" in done.stderr
    assert lab.states() == {"one": "waiting"}
    done = lab.run("daemon", "--drain", timeout_s=120)
    assert done.returncode == 0, done.stderr
    assert (lab.states(), lab.counted()) == ({"one": "ended"}, {"one": [1]})
