"""How fast a device's log goes into the database, and what a sample costs there, in SQLite and PostgreSQL.

The log is what a device would send: attempts of 20,000 latencies around 42 us, log-normal with 3 % spread and one call
in two hundred interrupted, packed by the worker's own codec. The floor is the same packed bytes written to a file and
synced, one attempt after the other: what any store that keeps every sample must do at least.
"""

from __future__ import annotations

import os
import random
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

from benchmarks.figures import Figure
from orchestrator.domain.conversation import RecordsArrived
from orchestrator.domain.facts import Facts
from orchestrator.store.store import Store, open_store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    WORKER_SHA256,
    EventLog,
    Sampled,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
    save_snapshot,
)
from tests.servers.errors import ServerUnavailable
from tests.servers.postgres import PostgresServer

ATTEMPTS = 100
SAMPLES = 20_000
BYTES_MAX = 3.2


class _Lab:
    """One device with a plan of enough trials."""

    def __init__(self) -> None:
        self.device, self.model = sample_device(), sample_model()
        self.sweep = sample_sweep(("fp32",), trials=ATTEMPTS)
        self.plan = sample_plan(self.device, self.sweep, self.model)

    def prepare(self, store: Store) -> None:
        store.runs.create_run(sample_header("run-1", self.sweep, self.model), self.model, [self.device])
        snapshot = save_snapshot(store, self.device, Facts(FACTS), STARTED_AT)
        save_plan(store, "run-1", self.plan, snapshot, WORKER_SHA256)


def measure() -> list[Figure]:
    """Ingest the same log into both databases."""
    lab = _Lab()
    plan = lab.plan
    log = EventLog("run-1", plan).runner_started()
    rng = random.Random(7)
    for trial in plan.trials[1:]:
        log.started(trial.key).finished(trial.key, [Sampled("latency_ns", _latencies(rng))])
    log.run_finished()
    batches = [log.arrived(first, min(first + 1, log.last_seq)) for first in range(1, log.last_seq + 1, 2)]
    with tempfile.TemporaryDirectory(prefix="benchfleet-ingest-") as name:
        folder = Path(name)
        floor_s = _floor(folder / "floor", batches)
        figures = [Figure("floor: write and sync the log", ATTEMPTS * SAMPLES / floor_s / 1e6, "M/s")]
        database = folder / "benchfleet.db"
        with open_store(str(database)) as store:
            lab.prepare(store)
            empty = _sqlite_bytes(database)
            spent = _ingest(store, batches)
        figures += _figures("sqlite", spent, floor_s, _sqlite_bytes(database) - empty)
        with closing(sqlite3.connect(database)) as connection:
            (packed,) = connection.execute("select sum(length(data)) from sample_block").fetchone()
        figures.append(Figure("packed samples alone", packed / (ATTEMPTS * SAMPLES), "B/sample", BYTES_MAX))
        try:
            with PostgresServer(folder) as server:
                server.start()
                figures += _postgres(server, batches, floor_s, lab)
        except ServerUnavailable as error:
            raise SystemExit(f"PostgreSQL: {error}") from None
    return figures


def _postgres(server: PostgresServer, batches: list[RecordsArrived], floor_s: float, lab: _Lab) -> list[Figure]:
    import psycopg

    url = server.create_database("ingest")
    with open_store(url, upgrade=True) as store, psycopg.connect(url.replace("+psycopg", "")) as connection:
        lab.prepare(store)
        size = "select pg_database_size(current_database())"
        (empty,) = connection.execute(size).fetchone() or (0,)
        connection.commit()
        spent = _ingest(store, batches)
        (full,) = connection.execute(size).fetchone() or (0,)
    return _figures("postgresql", spent, floor_s, full - empty)


def _figures(name: str, spent_s: float, floor_s: float, grown: int) -> list[Figure]:
    return [
        Figure(f"{name}: ingest", ATTEMPTS * SAMPLES / spent_s / 1e6, "M/s"),
        Figure(f"{name}: ingest / floor", spent_s / floor_s, "ratio"),
        Figure(f"{name}: database growth", grown / (ATTEMPTS * SAMPLES), "B/sample", BYTES_MAX),
    ]


def _ingest(store: Store, batches: list[RecordsArrived]) -> float:
    began = time.perf_counter()
    for batch in batches:
        store.logs.ingest([batch])
    return time.perf_counter() - began


def _floor(path: Path, batches: list[RecordsArrived]) -> float:
    began = time.perf_counter()
    with path.open("wb") as file:
        for batch in batches:
            file.write(batch.lines)
            file.flush()
            os.fsync(file.fileno())
    return time.perf_counter() - began


def _sqlite_bytes(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
    return database.stat().st_size


def _latencies(rng: random.Random) -> list[int]:
    return [int(rng.lognormvariate(0, 0.03) * 42_000) + (rng.random() < 0.005) * 180_000 for _ in range(SAMPLES)]
