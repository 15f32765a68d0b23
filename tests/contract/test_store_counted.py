"""Which cells every database knows to have counted results."""

from __future__ import annotations

from datetime import timedelta

from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.values import TrialKind
from orchestrator.store.store import Store
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

PI, MODEL = sample_device("pi-03"), sample_model()
SWEEP = sample_sweep(("fp32", "int8"), trials=2)
PLAN = sample_plan(PI, SWEEP, MODEL)
FIRST, SECOND = (job.key for job in PLAN.jobs)


def measure(store: Store, run: str, days: int, *keys: str) -> None:
    """Store a run whose trials count for the jobs of these keys, and fail for all others."""
    store.runs.create_run(sample_header(run, SWEEP, MODEL, STARTED_AT + timedelta(days=days)), MODEL, [PI])
    save_plan(store, run, PLAN, save_snapshot(store, PI, Facts(FACTS), STARTED_AT), WORKER_SHA256)
    log = EventLog(run, PLAN)
    for trial in PLAN.trials:
        if trial.kind is TrialKind.PREFLIGHT:
            log.finished(trial.key, [number("accuracy_top1", 0.9)])
        elif trial.job in keys:
            log.finished(trial.key, [number("latency_ns", 1000.0)])
    store.logs.ingest([log.run_finished().arrived()])


def test_jobs_with_counted_measure_trials_are_found_the_newest_first(store: Store) -> None:
    measure(store, "old", 0, FIRST, SECOND)
    measure(store, "new", 1, FIRST)
    found = store.counted.counted_jobs("pi-03", [FIRST, SECOND], None)
    assert [(one.key, one.run, one.trials) for one in found][:1] == [(FIRST, "new", 2)]
    assert {(one.key, one.run) for one in found[1:]} == {(FIRST, "old"), (SECOND, "old")}
    assert {(one.identity_hash, one.plan_sha256) for one in found} == {(Facts(FACTS).identity_hash, PLAN.sha256)}
    assert [one.run for one in store.counted.counted_jobs("pi-03", [SECOND], None)] == ["old"]
    since = STARTED_AT + timedelta(hours=1)
    assert [one.run for one in store.counted.counted_jobs("pi-03", [FIRST, SECOND], since)] == ["new"]
    assert store.counted.counted_jobs("pi-04", [FIRST], None) == store.counted.counted_jobs("pi-03", [], None) == []


def test_an_excluded_run_does_not_count_until_it_is_included_again(store: Store) -> None:
    measure(store, "old", 0, FIRST)
    store.words.exclude("old", "the window stood open", "ann@ws1")
    assert store.counted.counted_jobs("pi-03", [FIRST], None) == []
    store.words.include("old")
    assert [one.run for one in store.counted.counted_jobs("pi-03", [FIRST], None)] == ["old"]
