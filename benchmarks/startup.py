"""What typing a command costs, against `--help` of a bare two-command Typer application in the same environment.

A name must be completed before a person notices: within 150 ms, whatever the database.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks.environment import timed_environment
from benchmarks.figures import Figure
from orchestrator.cli.known_names import memory_of
from orchestrator.store.store import open_store
from orchestrator.testing.event_logs import sample_device, sample_header, sample_model, sample_sweep
from tests.servers.errors import ServerUnavailable
from tests.servers.postgres import PostgresServer

ROUNDS = 15

BARE = """\
import typer
app = typer.Typer()

@app.command()
def one(name: str) -> None:
    "Do one thing."

@app.command()
def two(count: int = 1) -> None:
    "Do another thing."

app()
"""


def measure() -> list[Figure]:
    """Time the three commands in turn, so that drift of the machine meets all alike; medians of the rounds."""
    with tempfile.TemporaryDirectory(prefix="benchfleet-startup-") as name:
        folder = Path(name)
        (folder / "bare.py").write_text(BARE)
        command = [sys.executable, "-m", "orchestrator"]
        subprocess.run(
            [*command, "db", "upgrade"], cwd=folder, env=timed_environment(), check=True, capture_output=True
        )
        argvs = {
            "bare": [sys.executable, "bare.py", "--help"],
            "help": [*command, "--help"],
            "runs": [*command, "runs", "list"],
        }
        times: dict[str, list[float]] = {key: [] for key in argvs}
        for number in range(ROUNDS + 1):
            for key, argv in argvs.items():
                began = time.perf_counter()
                subprocess.run(argv, cwd=folder, env=timed_environment(), check=True, capture_output=True)
                if number:  # the first round fills caches
                    times[key].append(time.perf_counter() - began)
        completions = [*_completions(folder)]
    bare, help_, runs = (statistics.median(times[key]) for key in ("bare", "help", "runs"))
    return [
        Figure("bare Typer --help", bare, "s"),
        Figure("benchfleet --help", help_, "s"),
        Figure("benchfleet runs list", runs, "s"),
        Figure("benchfleet --help / bare --help", help_ / bare, "ratio", 1.3),
        Figure("benchfleet runs list / bare --help", runs / bare, "ratio", 2.0),
        *completions,
    ]


def _completions(folder: Path) -> Iterator[Figure]:
    """Complete the id of a run, of an SQLite file, and of a server that was never, just now, and long ago asked."""
    run = _filled(str(folder / "benchfleet.db"))
    yield _completion("SQLite", folder, run, {})
    try:
        with PostgresServer(folder) as server:
            url = server.create_database("startup")
            run = _filled(url)
            home = folder / "home"
            asked = {"BENCHFLEET_DB": url, "HOME": str(home), "XDG_CACHE_HOME": ""}
            memory = memory_of(url, asked)
            # The very first question goes without an answer, and is bound by the same time.
            yield _completion("PostgreSQL, first time", folder, "", asked, lambda: memory.unlink(missing_ok=True))
            yield _completion("PostgreSQL, asked before", folder, run, asked, lambda: _wait_for(memory))
            yield _completion("PostgreSQL, asked long ago", folder, run, asked, lambda: _age(memory))
            _age(memory)  # no process asks on behind a server that is gone
    except ServerUnavailable as error:
        raise SystemExit(f"PostgreSQL: {error}") from None


def _completion(
    name: str, folder: Path, run: str, more: Mapping[str, str], prepare: Callable[[], object] = lambda: None
) -> Figure:
    command = [sys.executable, "-m", "orchestrator"]
    line = {"_BENCHFLEET_COMPLETE": "complete_bash", "COMP_WORDS": "benchfleet\nruns\nshow\n", "COMP_CWORD": "3"}
    environ = {**timed_environment(), **line, **more}
    times = []
    for _ in range(ROUNDS):
        prepare()
        began = time.perf_counter()
        done = subprocess.run(command, cwd=folder, env=environ, check=True, capture_output=True, text=True)
        times.append(time.perf_counter() - began)
        if run not in done.stdout:
            raise SystemExit(f"completion, {name}: no {run} in {done.stdout!r}")
    return Figure(f"completion of a run, {name}", statistics.median(times), "s", 0.15)


def _filled(url: str) -> str:
    """Store a run, and return its id."""
    with open_store(url, upgrade=True) as store:
        sweep, model = sample_sweep(), sample_model()
        store.runs.create_run(sample_header("20240601-ab12", sweep, model), model, [sample_device()])
    return "20240601-ab12"


def _wait_for(memory: Path) -> None:
    """Wait until a process that was started by an earlier completion has remembered the names."""
    deadline = time.monotonic() + 20
    while not memory.is_file() or not memory.stat().st_size:
        if time.monotonic() > deadline:
            raise SystemExit(f"nothing was remembered in {memory}")
        time.sleep(0.01)


def _age(memory: Path) -> None:
    _wait_for(memory)
    os.utime(memory, (1, 1))
