"""Runs with results in a database file, for commands that read them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from orchestrator.domain.facts import Facts
from orchestrator.domain.lease import Granted, LeaseRequest
from orchestrator.domain.model import Model
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.run import DeviceRunState
from orchestrator.store.store import open_store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    WORKER_SHA256,
    EventLog,
    number,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
    save_snapshot,
)

MODEL = sample_model()


@cache
def _new_database() -> bytes:
    """Return a database without rows. Its migrations take longer than most tests that want one."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "new.db"
        open_store(str(file), upgrade=True).close()
        return file.read_bytes()


def measure(
    database: Path,
    latencies: Mapping[str, Sequence[float]],
    run: str = "run-1",
    hours: float = 0,
    threads: tuple[int, ...] = (1,),
    memory: Mapping[str, int] | None = None,
    kernel: str | None = None,
    model: Model = MODEL,
) -> None:
    """Store a complete run on pi-03: each variant's trials have these latencies, in nanoseconds, and this memory."""
    device = sample_device()
    if not database.exists():
        database.write_bytes(_new_database())
    (trials,) = {len(values) for values in latencies.values()}
    sweep = sample_sweep(tuple(latencies), matrix={"threads": threads}, trials=trials)
    with open_store(str(database)) as store:
        store.runs.create_run(sample_header(run, sweep, model, STARTED_AT + timedelta(hours=hours)), model, [device])
        plan = sample_plan(device, sweep, model)
        facts = Facts(FACTS if kernel is None else {**FACTS, "kernel": kernel})
        # Runs end by this machine's clock: facts of before that end would be facts of the run before too.
        taken_at = STARTED_AT if kernel is None else datetime.now(UTC)
        save_plan(store, run, plan, save_snapshot(store, device, facts, taken_at), WORKER_SHA256)
        log, jobs = EventLog(run, plan), {job.key: job for job in plan.jobs}
        for trial in plan.trials:
            if trial.kind is TrialKind.PREFLIGHT:
                log.finished(trial.key, [number("accuracy_top1", 0.97)])
            else:
                value = latencies[jobs[trial.job].variant][trial.index - 1]
                metrics = [number("latency_ns", value)]
                if memory is not None:
                    metrics.append(number("rss_bytes_max", memory[jobs[trial.job].variant] + 4096 * trial.index))
                log.finished(trial.key, metrics)
        store.logs.ingest([log.run_finished().arrived()])


def fail_to_reach(database: Path, run: str, hours: float) -> None:
    """Store a run in which no device could be reached."""
    device, sweep = sample_device(), sample_sweep()
    with open_store(str(database)) as store:
        store.runs.create_run(sample_header(run, sweep, MODEL, STARTED_AT + timedelta(hours=hours)), MODEL, [device])
        # As a driver does: granted, tried, and given back.
        granted = store.leases.request_leases([device], LeaseRequest("ann@ws1", "pid 1", run, None, 60.0))[device.name]
        assert isinstance(granted, Granted)
        store.runs.set_device_state(run, device.name, DeviceRunState.FAILED, "pi-03: connect: timed out", "is it on?")
        store.leases.end_leases([granted.lease.id])


def exclude_everything(database: Path, run: str) -> None:
    """Store a run whose only device has fewer processors than each of its cells wants threads."""
    device, sweep = sample_device(), sample_sweep(("fp32", "int8"), matrix={"threads": (1024,)})
    with open_store(str(database)) as store:
        store.runs.create_run(sample_header(run, sweep, MODEL, STARTED_AT), MODEL, [device])
        plan = sample_plan(device, sweep, MODEL)
        save_plan(store, run, plan, save_snapshot(store, device, Facts(FACTS), STARTED_AT), WORKER_SHA256)
        store.runs.set_device_state(run, device.name, DeviceRunState.COMPLETE)
