"""How long a page takes with a million measurements behind it, while twenty people read and a run is being committed.

The real command serves both databases in turn. Readers ask for another page each second, as a person who reads does.
The run of all 22 devices is committed trial by trial, some two hundred trials a second, alone and beside the readers in
turns, so that both see the same machine.
`QUERIES_RUNS` shortens the history, for a first look.
"""

from __future__ import annotations

import gzip
import http.client
import itertools
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.history import RUNS, Spent, build, follow_run, run_name
from orchestrator.bootstrap import Wiring
from orchestrator.domain.demo import DemoRequest
from orchestrator.services.demo.fill import fill
from orchestrator.settings import load_settings
from orchestrator.store.store import open_store
from tests.servers.errors import ServerUnavailable
from tests.servers.postgres import PostgresServer

READERS, PAUSE_S, ROUND_S, ROUNDS = 20, 1.0, 8.0, 3
COMMIT_PAUSE_S = 0.1
PAGE_MS_MAX, FLEET_MS_MAX, SLOWDOWN_MAX = 300.0, 1000.0, 1.05
FIRST_KIB_MAX = 150.0
FLEET_DEVICES = 500
_TIMES = 7


def measure() -> Iterator[Figure]:
    """Serve both databases, and read."""
    with tempfile.TemporaryDirectory(prefix="benchfleet-pages-") as name:
        folder = Path(name)
        yield from _measured("sqlite", str(folder / "benchfleet.db"))
        try:
            with PostgresServer(folder, durable=True) as server:
                yield from _measured("postgresql", server.create_database("pages"))
        except ServerUnavailable as error:
            raise SystemExit(f"PostgreSQL: {error}") from None
        yield from _large_fleet(str(folder / "fleet.db"))
    yield Figure("load average of the machine", os.getloadavg()[0], "processes")


def _measured(kind: str, url: str) -> Iterator[Figure]:
    open_store(url, upgrade=True).close()
    build(lambda: open_store(url))
    with _served(url) as address:
        pages = _pages(address)
        yield Figure(f"{kind}: first load, unpacked", _first_load(address) / 1024, "KiB", FIRST_KIB_MAX)
        for page in pages:
            times = [_asked(address, page) for _ in range(_TIMES)]
            yield Figure(f"{kind}: {_named(page)}, first", times[0] * 1e3, "ms")
            yield Figure(f"{kind}: {_named(page)}, alone", sorted(times)[_TIMES // 2] * 1e3, "ms")
        yield from _beside_readers(kind, url, address, pages)


def _beside_readers(kind: str, url: str, address: str, pages: Sequence[str]) -> Iterator[Figure]:
    """Yield the 95th percentile of every page beside all others, and how much the writer was held up."""
    spent: dict[str, list[float]] = {page: [] for page in pages}
    alone, beside = Spent(), Spent()
    places = itertools.count(RUNS)
    with open_store(url) as store:
        rng = random.Random(5)
        commits = (commit for place in places for commit in follow_run(store, place, rng))
        for _ in range(ROUNDS):
            _commit(commits, alone)
            with _reading(address, pages, spent):
                _commit(commits, beside)
    for page, times in spent.items():
        p95 = sorted(times)[max(len(times) * 95 // 100 - 1, 0)]
        yield Figure(
            f"{kind}: {_named(page)}, p95 of {len(times)} with {READERS} readers", p95 * 1e3, "ms", PAGE_MS_MAX
        )
    slower = (beside.seconds / beside.attempts) / (alone.seconds / alone.attempts)
    yield Figure(f"{kind}: committing beside readers over alone", slower, "ratio", SLOWDOWN_MAX)
    on_cpu = (beside.cpu_seconds / beside.attempts) / (alone.cpu_seconds / alone.attempts)
    yield Figure(f"{kind}: the same in CPU time of the writer", on_cpu, "ratio")


def _commit(commits: Iterator[Spent], spent: Spent) -> None:
    until = time.monotonic() + ROUND_S
    while time.monotonic() < until:
        one = next(commits)
        spent.attempts += one.attempts
        spent.seconds += one.seconds
        spent.cpu_seconds += one.cpu_seconds
        # A run's records come in as trials end, not as fast as a database takes them.
        threading.Event().wait(COMMIT_PAUSE_S)


@contextmanager
def _reading(address: str, pages: Sequence[str], spent: dict[str, list[float]]) -> Iterator[None]:
    over = threading.Event()

    def read(number: int) -> None:
        rng = random.Random(number)
        while not over.wait(PAUSE_S * rng.uniform(0.5, 1.5)):
            page = rng.choice(pages)
            spent[page].append(_asked(address, page))

    readers = [threading.Thread(target=read, args=(number,)) for number in range(READERS)]
    for reader in readers:
        reader.start()
    try:
        yield
    finally:
        over.set()
        for reader in readers:
            reader.join()


def _large_fleet(file: str) -> Iterator[Figure]:
    with Wiring(load_settings({"db": file}, config=None)) as wiring:
        fill(DemoRequest(devices=FLEET_DEVICES, series=1, nights=3, seed=1), wiring)
    with _served(file) as address:
        first = _asked(address, "/")
        times = sorted(_asked(address, "/") for _ in range(_TIMES))
        yield Figure(f"fleet of {FLEET_DEVICES} devices, first", first * 1e3, "ms", FLEET_MS_MAX)
        yield Figure(f"fleet of {FLEET_DEVICES} devices, then", times[_TIMES // 2] * 1e3, "ms", FLEET_MS_MAX)


def _pages(address: str) -> Sequence[str]:
    found = re.search(rb'href="(/cells/\d+)"', _body(address, "/runs/last"))
    assert found is not None
    return [
        "/",
        "/runs",
        "/runs/last",
        f"/runs/{run_name(RUNS // 2)}",
        "/compare",
        found[1].decode(),
        "/regressions?all=true",
        "/history?series=1",
        "/changes",
        "/models",
        "/sql?statement=SELECT+*+FROM+v_open_regressions",
    ]


def _named(page: str) -> str:
    return page.partition("?")[0]


def _asked(address: str, page: str) -> float:
    began = time.perf_counter()
    _body(address, page)
    return time.perf_counter() - began


def _body(address: str, page: str) -> bytes:
    connection = http.client.HTTPConnection(address, timeout=120)
    try:
        connection.request("GET", page, headers={"Accept": "text/html", "Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{page} was answered by {answer.status}: {body[:300]!r}")
        return gzip.decompress(body) if answer.headers.get("Content-Encoding") == "gzip" else body
    finally:
        connection.close()


def _first_load(address: str) -> int:
    """Return the bytes of the first page with everything that the page fetches, before compression."""
    page = _body(address, "/")
    parts = re.findall(rb'(?:src|href)="(/static/[^"]+)"', page)
    return len(page) + sum(len(_body(address, part.decode())) for part in parts)


@contextmanager
def _served(url: str) -> Iterator[str]:
    command = [sys.executable, "-m", "orchestrator", "serve", "--db", url, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        found = re.search(r"http://(127\.0\.0\.1:\d+)/", said)
        if found is None:
            raise SystemExit(said + process.stderr.read())
        try:
            yield found[1]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
