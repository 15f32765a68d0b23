"""What every database keeps of operator profiles, and that profile trials count for nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.domain.facts import Facts
from orchestrator.domain.operator_profile import OperatorTime
from orchestrator.domain.plan.values import TrialKind
from orchestrator.services.runs.profile import profile_of
from orchestrator.store.schema import tables
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    WORKER_SHA256,
    EventLog,
    absent,
    number,
    profile,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
    save_snapshot,
)
from tests.contract.planned_runs import LATENCIES, Planned, rows

PI = sample_device("pi-03")


@pytest.fixture
def profiled(store: Store) -> Planned:
    model, sweep = sample_model(), replace(sample_sweep(), profile="operators")
    store.runs.create_run(sample_header("run", sweep, model), model, [PI])
    plan = sample_plan(PI, sweep, model)
    save_plan(store, "run", plan, save_snapshot(store, PI, Facts(FACTS), STARTED_AT), WORKER_SHA256)
    return Planned(plan, plan)


def profiles_of(planned: Planned) -> list[str]:
    return [trial.key for trial in planned.plan.trials if trial.kind is TrialKind.PROFILE]


def finish_all_but_profiles(planned: Planned) -> EventLog:
    log = planned.log()
    for trial in planned.plan.trials:
        if trial.kind is not TrialKind.PROFILE:
            log.finished(trial.key, [LATENCIES])
    return log


def test_each_cell_has_one_profile_at_the_end_of_the_plan(profiled: Planned) -> None:
    kinds = [trial.kind for trial in profiled.plan.trials]
    assert kinds[-2:] == [TrialKind.PROFILE] * 2
    assert kinds.count(TrialKind.PROFILE) == len(profiled.plan.jobs) == 2


def test_operators_are_rows_with_the_largest_share_first(store: Store, profiled: Planned) -> None:
    told = profile(("Gemm", "d1", 100.0), ("Conv", "c1", 300.0), runs=20, placed_on="CPUExecutionProvider")
    log = profiled.log().finished(profiles_of(profiled)[0], [number("profile_runs", 20)], profile=told)
    store.logs.ingest([log.arrived()])
    job = store.cells.jobs_of("run")[0].job
    assert list(store.cells.operators(job)) == [
        OperatorTime(1, "Conv", "c1", "CPUExecutionProvider", 20, 20, 300.0, 0.75),
        OperatorTime(2, "Gemm", "d1", "CPUExecutionProvider", 20, 20, 100.0, 0.25),
    ]
    assert list(store.cells.operators(store.cells.jobs_of("run")[1].job)) == []


def test_a_profile_counts_for_nothing_else(store: Store, profiled: Planned) -> None:
    log = finish_all_but_profiles(profiled)
    store.logs.ingest([log.arrived()])
    before = store.results.cell_results("run", "latency_ns")
    first, second = profiles_of(profiled)
    at = log.last_seq
    # Whatever a profile trial claims to have measured, and where it fails: no value, no trial and no failure more.
    log.finished(first, [LATENCIES, number("profile_runs", 20)], profile=profile(("Conv", "c1", 5.0)))
    log.failed(second)
    store.logs.ingest([log.arrived(at + 1)])
    assert store.results.cell_results("run", "latency_ns") == before
    assert "profile_runs" not in store.results.measured_metrics("run")
    assert store.progress.missing_trials("run") == []
    assert store.runs.find_run("run").devices[0].trials == {"measured": len(profiled.measures)}  # type: ignore[union-attr]


def test_a_runtime_without_a_profiler_leaves_its_reason(store: Store, profiled: Planned) -> None:
    trial = profiles_of(profiled)[0]
    log = profiled.log().finished(trial, [number("profile_runs", 0), absent("operator_ns", "no profiler")])
    store.logs.ingest([log.arrived()])
    assert rows(store, tables.operator_profile) == []
    (kept,) = rows(store, tables.absent_metric)
    assert (kept.metric, kept.reason) == ("operator_ns", "no profiler")


def test_a_profile_beside_other_work_tells_no_times(store: Store, profiled: Planned) -> None:
    log = profiled.log().finished(
        profiles_of(profiled)[0],
        [number("profile_runs", 20)],
        profile=profile(("Conv", "c1", 5.0)),
        invalid=["other-load"],
    )
    store.logs.ingest([log.arrived()])
    job = store.cells.jobs_of("run")[0].job
    assert list(store.cells.operators(job)) == []
    cell = store.cells.cell(job)
    assert cell is not None
    assert profile_of(cell, store.cells).reason == "its profile trial is invalid: other-load"


@pytest.mark.parametrize(
    "change",
    [{"runs": 0}, {"operators": []}, {"operators": [{}]}, {"operators": 5}],
)
def test_nonsense_fails_the_attempt_and_keeps_the_log(
    store: Store, profiled: Planned, change: dict[str, object]
) -> None:
    told = {**profile(("Conv", "c1", 5.0)), **change}
    log = profiled.log().finished(profiles_of(profiled)[0], [LATENCIES], profile=told)
    store.logs.ingest([log.arrived()])
    (attempt,) = rows(store, tables.attempt)
    assert (attempt.outcome, attempt.failure_kind) == ("failed", "garbage-output")
    assert rows(store, tables.operator_profile) == []
