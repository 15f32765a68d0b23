"""How much memory and time an export of 10 million raw samples takes, and what a sample costs on the disk.

The database is one run of 500 attempts with 20,000 latencies each. Each export is a process of its own, whose largest
resident size the kernel tells. The floor is the same process without samples.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.values import TrialKind
from orchestrator.store.store import open_store
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

ATTEMPTS, SAMPLES = 500, 20_000
MEMORY_MB_MAX = 500.0
_EXPORT = "from orchestrator.cli.app import main; main()"


def measure() -> Iterator[Figure]:
    """Export the same run in both formats."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder, "benchfleet.db")
        _fill(database)
        floor, _ = _exported(database, Path(folder, "floor"))
        yield Figure("largest resident size without samples", floor, "MB")
        for form in ("parquet", "csv"):
            into = Path(folder, form)
            memory, seconds = _exported(database, into, "--format", form, "--samples")
            size = sum(file.stat().st_size for file in into.rglob("samples/**/*") if file.is_file())
            yield Figure(f"largest resident size, 10 M samples as {form}", memory, "MB", at_most=MEMORY_MB_MAX)
            yield Figure(f"CPU time, 10 M samples as {form}", seconds, "s")
            yield Figure(f"size of a sample as {form}", size / (ATTEMPTS * SAMPLES), "bytes")


def _fill(database: Path) -> None:
    dice = random.Random(7)
    samples = [int(42_000 * dice.lognormvariate(0, 0.03)) for _ in range(SAMPLES)]
    device, model, sweep = sample_device(), sample_model(), sample_sweep(("fp32",), trials=ATTEMPTS)
    with open_store(str(database)) as store:
        store.runs.create_run(sample_header("run-1", sweep, model), model, [device])
        plan = sample_plan(device, sweep, model)
        save_plan(store, "run-1", plan, save_snapshot(store, device, Facts(FACTS), STARTED_AT), WORKER_SHA256)
        log = EventLog("run-1", plan)
        done = 0
        for place, trial in enumerate(one for one in plan.trials if one.kind is TrialKind.MEASURE):
            log.finished(trial.key, [Sampled("latency_ns", samples[place:] + samples[:place])])
            # In portions: the log of all attempts would take more memory than the export.
            if place % 50 == 49:
                store.logs.ingest([log.arrived(done + 1)])
                done = log.last_seq


def _exported(database: Path, into: Path, *words: str) -> tuple[float, float]:
    """Return the largest resident size of an export in MB, and its CPU seconds."""
    command = [sys.executable, "-c", _EXPORT, "export", "last", "-o", str(into), "--db", str(database), *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the export ended with {process.returncode}")
    return used.ru_maxrss / 1000, used.ru_utime + used.ru_stime
