"""A cell in full, as a shell script sees it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.errors import ExitCode
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.values import TrialKind
from orchestrator.store.store import open_store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    WORKER_SHA256,
    EventLog,
    Sampled,
    number,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
    save_snapshot,
)
from tests.unit.cli.conftest import Command, Ended

pytestmark = pytest.mark.system  # slow: kept out of the quick loop

LATENCIES = [41_000 + 7 * (place % 97) for place in range(400)]


@pytest.fixture(autouse=True)
def lab(database_file: Path) -> Path:
    """A run of fp32 with raw samples, its second trial hot at first, and of int8 without samples."""
    device, sweep, model = sample_device(), sample_sweep(trials=2), sample_model()
    with open_store(str(database_file)) as store:
        store.runs.create_run(sample_header("run-1", sweep, model), model, [device])
        plan = sample_plan(device, sweep, model)
        save_plan(store, "run-1", plan, save_snapshot(store, device, Facts(FACTS), STARTED_AT), WORKER_SHA256)
        log, jobs = EventLog("run-1", plan), {job.key: job for job in plan.jobs}
        for trial in plan.trials:
            if trial.kind is TrialKind.PREFLIGHT:
                log.finished(trial.key, [])
            elif jobs[trial.job].variant == "int8":
                log.finished(trial.key, [number("latency_ns", 20_000.0)])
            else:
                if trial.index == 2:
                    log.finished(trial.key, [Sampled("latency_ns", [10**9] * 9)], invalid=["too-hot"])
                log.finished(trial.key, [Sampled("latency_ns", LATENCIES)], attempt=trial.index)
        store.logs.ingest([log.run_finished().arrived()])
    return database_file


def said(ended: Ended) -> Any:
    assert ended.code == ExitCode.FINE, ended.err
    return json.loads(ended.out)


def test_a_cell_has_every_attempt_and_the_samples_of_those_that_count(command: Command) -> None:
    (cell,) = said(command("runs", "show", "last", "--cell", "variant=fp32", "--json"))
    assert [(one["trial_index"], one["counted"], one["invalid"]) for one in cell["attempts"]] == [
        (0, True, []),
        (1, True, []),
        (2, False, ["too-hot"]),
        (2, True, []),
    ]
    histogram = cell["histogram"]
    assert (histogram["count"], histogram["trials"]) == (800, [1, 2]), "the hot attempt's samples do not count"
    assert sum(one["count"] for one in histogram["bins"]) == 800
    assert histogram["bins"][-1]["high"] == max(LATENCIES)
    rule = "device=pi-03,variant=fp32,runtime=tflite-runtime==2.14.0,threads=1"
    assert cell["commands"] == [
        f"benchfleet runs resume run-1 --trials +1 --cells {rule}",
        f"benchfleet replay run-1 --cell {rule} -o bundle",
    ]
    shown = command("runs", "show", "last", "--cell", cell["label"]).out
    assert "invalid: too-hot" in shown
    assert "800 samples of latency_ns in 2 trials" in shown
    assert "█" in shown


def test_a_cell_without_samples_says_so(command: Command) -> None:
    (cell,) = said(command("runs", "show", "last", "--cell", "variant=int8", "--json"))
    assert cell["histogram"] is None
    assert cell["unsampled"] == "no raw samples of latency_ns: trials report one number of it, or none"
    assert "no distribution: no raw samples" in command("runs", "show", "last", "--cell", "variant=int8").out


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (("--cell", "variant=int9"), "error: --cell matches no cell of the run", "pi-03 · fp32"),
        (("--cell", "int8"), "error: --cell 'int8' names no cell", "variant=int8,threads=1"),
        (("--metric", "p99"), "error: --metric goes with --cell alone", "compare"),
        (("--cell", "variant=int8", "--format", "junit"), "error: --cell has no junit output", "csv"),
    ],
)
def test_what_there_is_not_is_said(command: Command, words: tuple[str, ...], error: str, hint: str) -> None:
    ended = command("runs", "show", "last", *words)
    assert ended.code == ExitCode.USAGE
    assert ended.err.startswith(error)
    assert hint in ended.err
