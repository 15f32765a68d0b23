"""How long questions take after two months of nightly runs: a million measurements, on SQLite and on PostgreSQL.

The history goes through the store, and each question is asked twenty times: with the statistics that the store itself
keeps, PostgreSQL's autovacuum being off, and after ANALYZE. The promise is the 95th percentile. `QUERIES_RUNS` shortens
the history, for a first look.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from sqlalchemy import Connection

from benchmarks.environment import timed_environment
from benchmarks.figures import Figure
from benchmarks.history import RUNS, VARIANTS, build, device_names, run_name
from orchestrator.store.schema import tables
from orchestrator.store.store import Store, open_store
from tests.servers.errors import ServerUnavailable
from tests.servers.postgres import PostgresServer

TIMES = 20
ATTEMPTS = 144_000
BUILD_S_MAX = 60.0

_LATENCY = "metric = 'latency_ns' AND kind = 'measure'"
_SERIES = (
    "device = '{device}' AND model = 'digits' AND variant = '{variant}' AND runtime = 'tflite-runtime==2.14.0' "
    "AND settings ->> 'threads' = {threads}"
)
_HISTORY = f"""\
SELECT run, run_started_at, trial_index, value, p50, environment_hash FROM v_history
WHERE {_SERIES} AND metric = 'latency_ns' AND kind = 'measure'
ORDER BY run_started_at, trial_index"""
SERIES_S_MAX = 0.1
"""The promise for the history of one series or device."""
NIGHT_S_MAX = 0.5
"""The promise for a night of the fleet."""
QUESTIONS: Mapping[str, tuple[str, float]] = {
    "v_latest, all": ("SELECT * FROM v_latest", 0.5),
    "v_latest, one device": (f"SELECT * FROM v_latest WHERE device = '{{device}}' AND {_LATENCY}", 0.05),
    "v_latest, one metric": (f"SELECT * FROM v_latest WHERE {_LATENCY}", 0.05),
    "v_history, one series": (_HISTORY, 0.05),
    "v_variant_compare, one variant": (
        f"SELECT * FROM v_variant_compare WHERE variant = '{{variant}}' AND {_LATENCY} ORDER BY run_started_at",
        0.3,
    ),
    "v_variant_compare, one run": ("SELECT * FROM v_variant_compare WHERE run = '{run}'", 0.05),
    "v_noise, one series": (f"SELECT * FROM v_noise WHERE {_SERIES} AND metric = 'latency_ns'", SERIES_S_MAX),
    "v_noise, one run": ("SELECT * FROM v_noise WHERE run = '{run}'", NIGHT_S_MAX),
    "v_missing, one device": ("SELECT * FROM v_missing WHERE device = '{device}'", NIGHT_S_MAX),
    "v_missing, one run": ("SELECT * FROM v_missing WHERE run = '{run}'", NIGHT_S_MAX),
    "v_invalid, one device": ("SELECT * FROM v_invalid WHERE device = '{device}'", NIGHT_S_MAX),
    "v_invalid, one run": ("SELECT * FROM v_invalid WHERE run = '{run}'", NIGHT_S_MAX),
    "v_environment_change, one device": ("SELECT * FROM v_environment_change WHERE device = '{device}'", SERIES_S_MAX),
    "v_environment_change, all": ("SELECT * FROM v_environment_change", NIGHT_S_MAX),
    "v_pareto, all": ("SELECT * FROM v_pareto", NIGHT_S_MAX),
    "v_open_regressions, all": ("SELECT * FROM v_open_regressions", SERIES_S_MAX),
}
"""The questions with the promised 95th percentile in seconds."""
RUN_LIST_S_MAX = 0.8


def measure() -> Iterator[Figure]:
    """Build the history in both databases, and ask."""
    with tempfile.TemporaryDirectory(prefix="benchfleet-queries-") as name:
        folder = Path(name)
        yield from _measured("sqlite", str(folder / "benchfleet.db"))
        try:
            with PostgresServer(folder, durable=True) as server:
                yield from _measured("postgresql", server.create_database("queries"))
        except ServerUnavailable as error:
            raise SystemExit(f"PostgreSQL: {error}") from None
    yield Figure("load average of the machine", os.getloadavg()[0], "processes")


def _measured(kind: str, url: str) -> Iterator[Figure]:
    with open_store(url, upgrade=True) as store:
        if not store.database.is_sqlite:
            _keep_autovacuum_away(store)
    spent = build(lambda: open_store(url))
    with open_store(url) as store:
        scale = ATTEMPTS / spent.attempts
        yield Figure(f"{kind}: storing {ATTEMPTS} attempts", spent.seconds * scale, "s", BUILD_S_MAX)
        yield Figure(f"{kind}: storing {ATTEMPTS} attempts, CPU of this process", spent.cpu_seconds * scale, "s")
        yield Figure(f"{kind}: measurements", _measurements(store), "rows")
        yield from _asked(f"{kind}: ", store, url)
        with store.database.write() as connection:
            connection.exec_driver_sql("ANALYZE")
        yield from _asked(f"{kind}, after ANALYZE: ", store, url)


def _keep_autovacuum_away(store: Store) -> None:
    """Turn autovacuum off for all tables, which would gather statistics in the middle of a measurement."""
    with store.database.write() as connection:
        for table in tables.metadata.sorted_tables:
            connection.exec_driver_sql(f"ALTER TABLE {table.name} SET (autovacuum_enabled = off)")


def _measurements(store: Store) -> int:
    with store.database.read() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM measurement").scalar_one())


def _asked(prefix: str, store: Store, url: str) -> Iterator[Figure]:
    for name, (question, at_most_s) in QUESTIONS.items():
        spent_s = _p95_s(lambda place, question=question: _ask(store, question, place))  # type: ignore[misc]
        yield Figure(f"{prefix}{name}", spent_s * 1e3, "ms", at_most_s * 1e3)
    yield _run_list(prefix, url, RUNS, RUN_LIST_S_MAX)
    yield _run_list(prefix, url, 1)


def _p95_s(ask: Callable[[int], int]) -> float:
    """Return the 95th percentile of the seconds that an answer takes. An answer without rows is no answer."""
    spent = []
    for place in range(TIMES):
        began = time.perf_counter()
        rows = ask(place)
        spent.append(time.perf_counter() - began)
        if not rows:
            raise SystemExit("a question found nothing: the figure would mean nothing")
    return sorted(spent)[TIMES * 95 // 100 - 1]


def _ask(store: Store, question: str, place: int) -> int:
    with store.database.read() as connection:
        return len(connection.exec_driver_sql(_filled(question, connection, place)).fetchall())


def _filled(question: str, connection: Connection, place: int) -> str:
    """Return a question about another device, variant and run each time."""
    devices = device_names()
    return question.format(
        device=devices[place % min(len(devices), 2 * RUNS)],
        variant=VARIANTS[place % len(VARIANTS)],
        run=run_name(place * RUNS // TIMES),
        threads="4" if connection.dialect.name == "sqlite" else "'4'",
    )


def _run_list(prefix: str, url: str, limit: int, at_most_s: float | None = None) -> Figure:
    """Time the whole command, start of Python included: nearly all of the time of a single run."""
    asked = ["runs", "list", "--limit", str(limit)]
    command = [sys.executable, "-m", "orchestrator", *asked, "--db", url]

    def run(_place: int) -> int:
        done = subprocess.run(command, check=True, capture_output=True, env=timed_environment())
        return len(done.stdout.splitlines()) - 1 >= limit

    bound = None if at_most_s is None else at_most_s * 1e3
    return Figure(f"{prefix}{' '.join(asked)}", _p95_s(run) * 1e3, "ms", bound)
