"""The views, which people's SQL is written against: the same columns and the same answers on every database."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from orchestrator.domain.facts import Facts
from orchestrator.domain.plan import TrialKind
from orchestrator.store.migrations import migrations_directory
from orchestrator.store.store import Store
from orchestrator.store.views import VIEWS
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

VARIANTS = ("fp32", "fp16", "int8")
MODEL = sample_model()
SWEEP = sample_sweep(variants=VARIANTS, matrix={"threads": (1, 2)})
Values = dict[tuple[str, int], tuple[float, float, float]]


def measure(store: Store, run: str, values: Values, hours: float = 0, device: str = "pi-03") -> None:
    """Store a run with these latencies by variant and threads; cells without are not measured."""
    part = sample_device(device)
    store.create_run(sample_header(run, SWEEP, MODEL, STARTED_AT + timedelta(hours=hours)), MODEL, [part])
    plan = sample_plan(part, SWEEP, MODEL)
    save_plan(store, run, plan, save_snapshot(store, part, Facts(FACTS), STARTED_AT), WORKER_SHA256)
    log = EventLog(run, plan)
    jobs = {job.key: job for job in plan.jobs}
    for trial in plan.trials:
        job = jobs[trial.job]
        cell = values.get((job.variant, int(job.settings["threads"])))
        if trial.kind is TrialKind.PREFLIGHT:
            log.finished(trial.key, [number("accuracy_top1", 0.97)])
        elif cell is not None:
            log.finished(trial.key, [number("latency_ns", 1)], invalid=["too-hot"])
            log.finished(trial.key, [number("latency_ns", cell[trial.index - 1])], attempt=2)
    store.ingest([log.run_finished().arrived()])


def query(store: Store, statement: str) -> Sequence[Any]:
    with store.database.read() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_every_view_has_its_documented_columns(store: Store, view: Any) -> None:
    measure(store, "run", {("fp32", 1): (10, 20, 30)})
    with store.database.read() as connection:
        result = connection.execute(text(f"SELECT * FROM {view.name}"))
        assert list(result.keys()) == [column.name for column in view.columns]
        assert result.first() is not None


def test_latest_is_the_newest_run_that_measured_the_cell(store: Store) -> None:
    measure(store, "old", {("fp32", 1): (10, 20, 30), ("fp32", 2): (5, 6, 100)})
    measure(store, "new", {("fp32", 1): (11, 21, 31)}, hours=1)
    measure(store, "older", {("fp32", 1): (1, 2, 3)}, hours=-1)
    found = query(
        store,
        "SELECT settings ->> 'threads', run, trials, value, value_min, value_max FROM v_latest "
        "WHERE metric = 'latency_ns' ORDER BY value",
    )
    assert [(int(threads), *rest) for threads, *rest in found] == [
        (2, "old", 3, 6.0, 5.0, 100.0),
        (1, "new", 3, 21.0, 11.0, 31.0),
    ]


def test_latest_keeps_devices_apart(store: Store) -> None:
    measure(store, "one", {("fp32", 1): (10, 20, 30)})
    measure(store, "two", {("fp32", 1): (1, 2, 3)}, hours=1, device="nano-01")
    found = query(store, "SELECT device, value FROM v_latest WHERE metric = 'latency_ns' ORDER BY device")
    assert found == [("nano-01", 2.0), ("pi-03", 20.0)]


def test_history_has_every_counted_attempt_and_no_other(store: Store) -> None:
    measure(store, "one", {("fp32", 1): (10, 20, 30)})
    measure(store, "two", {("fp32", 1): (11, 21, 31)}, hours=1)
    found = query(
        store, "SELECT run, value FROM v_history WHERE metric = 'latency_ns' ORDER BY run_started_at, trial_index"
    )
    assert found == [("one", 10.0), ("one", 20.0), ("one", 30.0), ("two", 11.0), ("two", 21.0), ("two", 31.0)]
    (hashes,) = set(query(store, "SELECT environment_hash, worker_sha256 FROM v_history"))
    assert hashes == (Facts(FACTS).environment_hash, WORKER_SHA256)


def test_an_even_number_of_trials_has_the_mean_of_the_middle_two(store: Store) -> None:
    device, sweep = sample_device(), sample_sweep(variants=("fp32",), trials=4)
    store.create_run(sample_header("run", sweep, MODEL), MODEL, [device])
    plan = sample_plan(device, sweep, MODEL)
    save_plan(store, "run", plan, save_snapshot(store, device, Facts(FACTS), STARTED_AT), WORKER_SHA256)
    log = EventLog("run", plan)
    for trial in plan.trials:
        if trial.kind is TrialKind.MEASURE:
            log.finished(trial.key, [Sampled("latency_ns", [10**trial.index] * 10)])
    store.ingest([log.arrived()])
    assert query(store, "SELECT trials, value FROM v_cell") == [(4, 550.0)]


def test_variants_are_compared_with_parent_and_base_of_the_same_run(store: Store) -> None:
    values = {
        ("fp32", 1): (30.0, 40.0, 50.0),
        ("fp16", 1): (10.0, 20.0, 90.0),
        ("int8", 1): (4.0, 5.0, 6.0),
        ("fp32", 2): (8.0, 8.0, 8.0),
        ("int8", 2): (2.0, 2.0, 2.0),
    }
    measure(store, "run", values)
    measure(store, "another", {("fp16", 2): (1.0, 1.0, 1.0)}, hours=1)
    found = query(
        store,
        "SELECT settings ->> 'threads', variant, value, parent, parent_value, ratio_to_parent, base, base_value, "
        "ratio_to_base FROM v_variant_compare WHERE metric = 'latency_ns' AND run = 'run' ORDER BY 1, 3 DESC",
    )
    assert [(int(threads), *rest) for threads, *rest in found] == [
        (1, "fp32", 40.0, None, None, None, "fp32", 40.0, 1.0),
        (1, "fp16", 20.0, "fp32", 40.0, 0.5, "fp32", 40.0, 0.5),
        (1, "int8", 5.0, "fp16", 20.0, 0.25, "fp32", 40.0, 0.125),
        (2, "fp32", 8.0, None, None, None, "fp32", 8.0, 1.0),
        (2, "int8", 2.0, "fp16", None, None, "fp32", 8.0, 0.25),
    ]


def test_the_second_version_of_the_comparison_answers_as_the_first(store: Store) -> None:
    measure(store, "run", {("fp32", 1): (30, 40, 50), ("fp16", 1): (10, 20, 90), ("int8", 1): (4, 5, 6)})
    measure(store, "gap", {("fp32", 2): (8, 8, 8), ("int8", 2): (2, 2, 2)}, hours=1, device="nano-01")
    measure(store, "orphan", {("int8", 1): (2, 2, 2)}, hours=2)
    first = (migrations_directory() / "views" / "v_variant_compare.1.sql").read_text().partition(" AS\n")[2]
    found = sorted(map(repr, query(store, "SELECT * FROM v_variant_compare")))
    assert found == sorted(map(repr, query(store, first)))
    assert len(found) == 6 + 18  # cells with a latency; the preflights of all


@pytest.mark.parametrize("view", ["v_cell", "v_variant_compare"])
def test_a_filter_on_a_run_does_not_read_the_whole_history(store: Store, view: str) -> None:
    if not store.database.is_sqlite:
        pytest.skip("PostgreSQL plans by the tables' sizes")
    plan = [step for *_, step in query(store, f"EXPLAIN QUERY PLAN SELECT * FROM {view} WHERE run = 'run'")]
    assert any(step.startswith("SEARCH run ") for step in plan)
    assert [step for step in plan if step.startswith(("SCAN attempt", "SCAN measurement", "SCAN trial"))] == []


def test_a_parent_of_nothing_gives_no_ratio(store: Store) -> None:
    measure(store, "run", {("fp32", 1): (0, 0, 0), ("fp16", 1): (1, 1, 1)})
    found = query(
        store, "SELECT ratio_to_parent FROM v_variant_compare WHERE variant = 'fp16' AND metric = 'latency_ns'"
    )
    assert found == [(None,)]


def test_preflight_metrics_are_there_under_their_kind(store: Store) -> None:
    measure(store, "run", {("fp32", 1): (10, 20, 30)})
    found = query(store, "SELECT DISTINCT kind, metric, value FROM v_latest WHERE kind = 'preflight'")
    assert found == [("preflight", "accuracy_top1", 0.97)]


def test_the_metrics_of_a_run_are_those_of_its_counted_attempts(store: Store) -> None:
    measure(store, "one", {("fp32", 1): (10, 20, 30)})
    measure(store, "two", {}, hours=1)
    assert store.measured_metrics("one") == ["accuracy_top1", "latency_ns"]
    assert store.measured_metrics("two") == ["accuracy_top1"]


def test_moments_sort_as_text_and_as_time(store: Store) -> None:
    for run, hours in {"b": 2.5, "c": 30, "a": 0}.items():
        measure(store, run, {("fp32", 1): (1, 1, 1)}, hours)
    found = query(store, "SELECT DISTINCT run, run_started_at FROM v_history ORDER BY run_started_at")
    assert [run for run, _ in found] == ["a", "b", "c"]
