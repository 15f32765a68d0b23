"""Store random histories: runs in any order, on several devices, with every way in which a trial may end."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from orchestrator.domain.conversation import RecordsArrived
from orchestrator.domain.facts import Facts
from orchestrator.domain.model import Model
from orchestrator.domain.sweep import Setting
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import (
    FACTS,
    LITERT,
    ONNX,
    STARTED_AT,
    TFLITE,
    WORKER_SHA256,
    EventLog,
    Sampled,
    number,
    power_figure,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
    save_snapshot,
    with_onnx,
)

DEVICES = ("pi-03", "nano-01")
RUNS = 12
_THREADS: Sequence[Mapping[str, tuple[Setting, ...]]] = (
    {"threads": (1,)},
    {"threads": (1, 2)},
    {"threads": (2, 1), "alpha": (0.5, 1e20)},
    {"threads": (1,), "mode": ("fäst", "")},
)
_PARENTS: Sequence[Mapping[str, str | None]] = (
    {"fp32": None, "fp16": "fp32", "int8": "fp16"},
    {"fp32": None, "fp16": "fp32", "int8": "fp32"},
    {"fp32": "fp16", "fp16": None, "int8": "gone"},
)


def store_random_history(store: Store, seed: int) -> None:
    """Store runs whose logs arrive in pieces, those of different runs mixed, as the seed decides."""
    rng = random.Random(seed)
    deliveries: list[list[RecordsArrived]] = []
    for place in rng.sample(range(RUNS), RUNS):  # by no means in the order of their beginnings
        deliveries += _begin(store, f"run-{place:02}", rng)
    while deliveries:
        batch = [pieces.pop(0) for pieces in rng.sample(deliveries, min(len(deliveries), rng.randint(1, 3)))]
        store.logs.ingest(batch)
        deliveries = [pieces for pieces in deliveries if pieces]


def _begin(store: Store, run: str, rng: random.Random) -> Iterator[list[RecordsArrived]]:
    """Store a run with its plans; return the pieces of each device's log."""
    model = _model(rng)
    sweep = sample_sweep(
        variants=rng.sample(("fp32", "fp16", "int8"), rng.randint(1, 3)),
        runtimes=rng.sample((TFLITE, LITERT, ONNX), rng.randint(1, 3)),
        matrix=rng.choice(_THREADS),
        trials=rng.randint(1, 4),
    )
    devices = [sample_device(name) for name in rng.sample(DEVICES, rng.randint(1, len(DEVICES)))]
    # Few different hours: some runs begin at the same moment.
    store.runs.create_run(
        sample_header(run, sweep, model, STARTED_AT + timedelta(hours=rng.randrange(RUNS // 2))), model, devices
    )
    for device in devices:
        plan = sample_plan(device, sweep, model)
        snapshot = save_snapshot(store, device, Facts(FACTS), STARTED_AT)
        save_plan(store, run, plan, snapshot, WORKER_SHA256)
        log = EventLog(run, plan, f"log-{run}-{device.name}").runner_started()
        for trial in plan.trials:
            _play(log, trial.key, rng)
        cuts = sorted(rng.sample(range(1, log.last_seq), min(3, log.last_seq - 1)))
        yield [log.arrived(first + 1, last) for first, last in zip([0, *cuts], [*cuts, log.last_seq], strict=True)]


def _model(rng: random.Random) -> Model:
    """Return one of two models, whose ancestry people may have declared anew since the last run."""
    model = sample_model(rng.choice(("digits", "keywords")))
    parents = rng.choice(_PARENTS)
    variants = {name: replace(variant, parent=parents[name]) for name, variant in model.variants.items()}
    return with_onnx(replace(model, variants=variants), "fp32")


def _play(log: EventLog, trial: str, rng: random.Random) -> None:
    """Write the records of one trial."""
    fate = rng.choice(("good", "good", "good", "late", "failed", "invalid", "skipped", "open", "absent"))
    if fate in ("late", "invalid"):
        log.started(trial).finished(trial, _metrics(rng), invalid=["too-hot"])
    if fate in ("good", "late"):
        attempt = 2 if fate == "late" else 1
        log.started(trial, attempt).finished(trial, _metrics(rng), attempt)
    if fate == "failed":
        log.failed(trial)
    if fate == "skipped":
        log.skipped(trial)
    if fate == "open":
        log.started(trial)


def _metrics(rng: random.Random) -> list[Sampled | dict[str, Any]]:
    every: list[Sampled | dict[str, Any]] = [
        Sampled("latency_ns", [rng.randrange(1, 5) for _ in range(rng.randint(1, 3))]),
        number("accuracy_top1", rng.random()),
        number("load_ns", rng.choice((0, 1, 1.5, -2))),
        power_figure("energy_mj", rng.random(), rng.choice(("rapl", "hwmon ina226"))),
        number("power_mean_w", rng.random()),
    ]
    return rng.sample(every, rng.randint(0, len(every)))
