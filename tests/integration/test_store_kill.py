"""A controller that is killed at any moment loses nothing that it acknowledged, and doubles nothing when it resumes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from orchestrator.domain.facts import Facts
from orchestrator.domain.run import Offset
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
from tests.databases import Databases, content

DEVICE, MODEL, SWEEP = sample_device(), sample_model(), sample_sweep(trials=150)
PLAN = sample_plan(DEVICE, SWEEP, MODEL)
KILLS = 6


def full_log() -> EventLog:
    log = EventLog("run", PLAN).runner_started()
    for number, trial in enumerate(PLAN.trials):
        samples = [40_000 + (i * (number + 7)) % 1_000 for i in range(500)]
        log.started(trial.key).finished(trial.key, [Sampled("latency_ns", samples)])
    return log.run_finished()


def prepare(store: Store) -> None:
    store.runs.create_run(sample_header("run", SWEEP, MODEL), MODEL, [DEVICE])
    save_plan(store, "run", PLAN, save_snapshot(store, DEVICE, Facts(FACTS), STARTED_AT), WORKER_SHA256)


def ingest_all(url: str) -> None:
    """Ingest what is left of the log, in small pieces, telling what is acknowledged; a process of its own."""
    log = full_log()
    with open_store(url) as store:
        reached = store.logs.offset("run", DEVICE.name).last_seq
        while reached < log.last_seq:
            (result,) = store.logs.ingest([log.arrived(max(reached - 3, 1), min(reached + 7, log.last_seq))])
            reached = result.offset.last_seq
            sys.stdout.write(f"{reached}\n")
            sys.stdout.flush()


def test_a_killed_controller_loses_and_doubles_nothing(databases: Databases) -> None:
    url, kills = databases.migrated(), 0
    log = full_log()
    with open_store(url) as store:
        prepare(store)
    while True:
        process = subprocess.Popen(
            [sys.executable, "-c", f"import {__name__} as us, sys; us.ingest_all(sys.argv[1])", url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[2],
            env={**os.environ, "PYTHONPATH": "."},
        )
        assert process.stdout is not None
        acknowledged = 0
        if kills < KILLS:
            for _ in range(2 + kills):
                acknowledged = int(process.stdout.readline() or acknowledged)
            time.sleep(0.003 * kills)
            process.send_signal(signal.SIGKILL)
            kills += 1
        output, errors = process.communicate(timeout=100)
        acknowledged = max([acknowledged, *map(int, output.split())])
        with open_store(url) as store:
            assert store.logs.offset("run", DEVICE.name).last_seq >= acknowledged
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL, errors
    with open_store(url) as store, open_store(databases.migrated()) as clean:
        assert store.logs.offset("run", DEVICE.name) == Offset("log-1", log.last_seq)
        prepare(clean)
        clean.logs.ingest([log.arrived()])
        assert content(store) == content(clean)
    assert kills == KILLS
