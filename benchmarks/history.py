"""Store two months of nightly runs: the database on which `benchmarks.queries` asks.

Each run measures one model on two devices: three variants on three runtimes, a preflight and three trials each. All
runs go through the store, as a controller writes them that collects whole logs in the morning.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache

from orchestrator.domain.device import Device
from orchestrator.domain.facts import Facts
from orchestrator.domain.model import Model
from orchestrator.domain.plan.values import DevicePlan, PreparedPlan, TrialKind
from orchestrator.domain.regression import Actor, Direction, Move, RegressionState, Suspicion
from orchestrator.domain.runtime import RuntimeSource, RuntimeSpec
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import (
    FACTS,
    LITERT,
    STARTED_AT,
    TFLITE,
    WORKER_SHA256,
    EventLog,
    Sampled,
    number,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
)

RUNS = int(os.environ.get("QUERIES_RUNS", "2000"))
MODELS = ("digits", "keywords", "mobilenet")
VARIANTS = ("fp32", "fp16", "int8")
DEVICE_PAIRS = 11
SAMPLES = 20
COMMAND_RUNS = 50
"""How many runs a command stores. Some hundred commands would spend their time opening the database."""
_RECORDS_OF_TRIAL = 2
KERNELS = 8
"""How many kernels each device has seen in the end."""

_OLDER = RuntimeSpec("ai-edge-litert==2.2.0", RuntimeSource.BUNDLE, "ai-edge-litert", "2.2.0")
_SWEEP = sample_sweep(variants=VARIANTS, runtimes=(TFLITE, _OLDER, LITERT), matrix={"threads": (4,)}, trials=3)
_LONG_SWEEP = replace(_SWEEP, trials=30)
_RUN_INTERVAL = timedelta(minutes=40)


@dataclass(slots=True)
class Spent:
    """Count what was stored, and the seconds that the store took for it; making up the logs is not counted."""

    attempts: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Add the time of the block."""
        began, cpu_began = time.perf_counter(), time.process_time()
        yield
        self.seconds += time.perf_counter() - began
        self.cpu_seconds += time.process_time() - cpu_began


@dataclass(frozen=True, slots=True)
class _Part:
    """One device of a run with its plan."""

    device: Device
    plan: DevicePlan


def build(opened: Callable[[], Store], runs: int = RUNS) -> Spent:
    """Store the runs, oldest first. `opened` opens the database: each command has a store of its own."""
    spent = Spent()
    rng = random.Random(11)
    for first in range(0, runs, COMMAND_RUNS):
        with ExitStack() as stack:
            store = stack.enter_context(opened())
            for place in range(first, min(first + COMMAND_RUNS, runs)):
                store_run(store, place, rng, spent)
            # A store that was written to renews statistics in the end: a part of storing.
            with spent.counting():
                stack.close()
    with opened() as store:
        _regress(store, run_name(runs - 1))
    return spent


def run_name(place: int) -> str:
    """Return the id of a run by its place in the history, from 0."""
    return f"night-{place:05}"


def device_names() -> list[str]:
    """Return the names of all devices."""
    return [f"board-{place:02}" for place in range(2 * DEVICE_PAIRS)]


def store_run(store: Store, place: int, rng: random.Random, spent: Spent) -> None:
    """Store the run at a place of the history, counting the time that the store took."""
    run, model = run_name(place), _model(MODELS[place % len(MODELS)])
    pair = place // len(MODELS) % DEVICE_PAIRS
    parts = [_part(name, model.name) for name in device_names()[2 * pair : 2 * pair + 2]]
    logs = [_log(run, place, part, rng).arrived() for part in parts]
    with spent.counting():
        _begin(store, place, model, parts)
        store.logs.ingest(logs)
    spent.attempts += sum(len(part.plan.trials) for part in parts)


def follow_run(store: Store, place: int, rng: random.Random) -> Iterator[Spent]:
    """Store the run at a place as a controller does that follows all devices: a trial of each device at a time.

    Yield what each commit took. The run is a long one, of 30 trials a cell.
    """
    run, model = run_name(place), _model(MODELS[place % len(MODELS)])
    parts = [_long_part(name, model.name) for name in device_names()]
    logs = [_log(run, place, part, rng) for part in parts]
    _begin(store, place, model, parts)
    stored, last = 0, logs[0].last_seq
    while stored < last:
        # The log's opening and the runner's begin come with the first trial, the runner's end with the last.
        upto = last if stored + _RECORDS_OF_TRIAL + 1 >= last else max(stored, 2) + _RECORDS_OF_TRIAL
        arrived = [log.arrived(stored + 1, upto) for log in logs]
        spent = Spent(len(logs))
        with spent.counting():
            store.logs.ingest(arrived)
        stored = upto
        yield spent


def _begin(store: Store, place: int, model: Model, parts: Sequence[_Part]) -> None:
    run, started_at = run_name(place), STARTED_AT + place * _RUN_INTERVAL
    store.runs.create_run(sample_header(run, _SWEEP, model, started_at), model, [part.device for part in parts])
    snapshots = store.devices.save_snapshots([(part.device, _facts(place)) for part in parts], started_at)
    prepared = [PreparedPlan(part.plan, int(snapshots[part.device.name]), WORKER_SHA256) for part in parts]  # type: ignore[arg-type]
    for refused in store.plans.save_plans(run, prepared).values():
        raise refused


@cache
def _model(name: str) -> Model:
    return sample_model(name)


@cache
def _part(device: str, model: str) -> _Part:
    part = sample_device(device)
    return _Part(part, sample_plan(part, _SWEEP, _model(model)))


@cache
def _long_part(device: str, model: str) -> _Part:
    part = sample_device(device)
    return _Part(part, sample_plan(part, _LONG_SWEEP, _model(model)))


def _facts(place: int) -> Facts:
    return Facts({**FACTS, "kernel": f"6.6.{20 + place * KERNELS // RUNS}"})


def _regress(store: Store, run: str) -> None:
    """Let a night confirm a regression of every cell of a run."""
    store.nights.begin_night("night", "lab")
    for cell in store.results.cell_results(run, "latency_ns"):
        assert cell.series is not None
        suspicion = Suspicion("lab", "night", cell.series, "latency_ns", Direction.ROSE, run)
        regression = store.regressions.suspect(suspicion, "ann@ws1")
        confirmed = Move(RegressionState.CONFIRMED, Actor.NIGHT, "ann@ws1", night="night")
        store.regressions.move(regression.id, confirmed)


def _log(run: str, place: int, part: _Part, rng: random.Random) -> EventLog:
    log = EventLog(run, part.plan, f"log-{place:05}").runner_started()
    for trial in part.plan.trials:
        log.started(trial.key)
        if trial.kind is TrialKind.PREFLIGHT:
            log.finished(trial.key, list(_preflight(rng)))
        else:
            # Something is invalid and missing in every run, so that questions about either find rows.
            invalid = ["too-hot"] if trial is part.plan.trials[-1] else []
            log.finished(trial.key, list(_measured(rng)), invalid=invalid)
    return log.run_finished()


def _preflight(rng: random.Random) -> Iterator[dict[str, object]]:
    yield number("accuracy_top1", 0.9 + rng.random() / 20)
    yield number("load_ns", rng.randrange(1_000_000, 2_000_000))
    yield number("first_inference_ns", rng.randrange(400_000, 500_000))
    yield number("rss_bytes_max", rng.randrange(40_000_000, 50_000_000))


def _measured(rng: random.Random) -> Iterator[Sampled | dict[str, object]]:
    yield Sampled("latency_ns", [rng.randrange(41_000, 43_000) for _ in range(SAMPLES)])
    yield number("load_ns", rng.randrange(1_000_000, 2_000_000))
    yield number("first_inference_ns", rng.randrange(400_000, 500_000))
    yield number("set_input_ns", rng.randrange(1_000, 2_000))
    yield number("get_output_ns", rng.randrange(1_000, 2_000))
    yield number("rss_bytes_max", rng.randrange(40_000_000, 50_000_000))
    yield number("warmup_runs", rng.randrange(20, 40))
    yield number("involuntary_switches", rng.randrange(50))
