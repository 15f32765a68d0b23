"""The views, which people's SQL is written against: the same columns and the same answers on every database."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from orchestrator.domain.comparison import Verdict
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.regression import Actor, Direction, Move, RegressionState, Suspicion
from orchestrator.services.results.compare import compare
from orchestrator.store.schema.migrations import migrations_directory
from orchestrator.store.schema.views import VIEWS
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import (
    FACTS,
    ONNX,
    STARTED_AT,
    TFLITE,
    WORKER_SHA256,
    EventLog,
    Sampled,
    number,
    power_account,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
    save_snapshot,
    with_onnx,
)

VARIANTS = ("fp32", "fp16", "int8")
MODEL = sample_model()
SWEEP = sample_sweep(variants=VARIANTS, matrix={"threads": (1, 2)})
Values = dict[tuple[str, int], tuple[float, float, float]]
TWO_FORMATS = with_onnx(MODEL, "fp32")


def measure(store: Store, run: str, values: Values, hours: float = 0, device: str = "pi-03") -> None:
    """Store a run with these latencies by variant and threads; cells without are not measured."""
    part = sample_device(device)
    store.runs.create_run(sample_header(run, SWEEP, MODEL, STARTED_AT + timedelta(hours=hours)), MODEL, [part])
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
            log.finished(trial.key, [number("latency_ns", cell[trial.index - 1])], attempt=2, power=power_account())
    store.logs.ingest([log.run_finished().arrived()])


def query(store: Store, statement: str) -> Sequence[Any]:
    with store.database.read() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def regress(store: Store, run: str) -> None:
    """Let a night confirm a regression of the run's first cell."""
    store.nights.begin_night("night", "lab")
    series = store.results.cell_results(run, "latency_ns")[0].series
    assert series is not None
    found = store.regressions.suspect(Suspicion("lab", "night", series, "latency_ns", Direction.ROSE, run), "ann@ws1")
    store.regressions.move(found.id, Move(RegressionState.CONFIRMED, Actor.NIGHT, "ann@ws1", night="night"))


def store_columns(store: Store, statement: str) -> list[str]:
    with store.database.read() as connection:
        return list(connection.execute(text(statement)).keys())


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_every_view_has_its_documented_columns(store: Store, view: Any) -> None:
    measure(store, "run", {("fp32", 1): (10, 20, 30)})
    regress(store, "run")
    save_snapshot(store, sample_device(), Facts({**FACTS, "kernel": "6.6.31"}), STARTED_AT + timedelta(hours=1))
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
    store.runs.create_run(sample_header("run", sweep, MODEL), MODEL, [device])
    plan = sample_plan(device, sweep, MODEL)
    save_plan(store, "run", plan, save_snapshot(store, device, Facts(FACTS), STARTED_AT), WORKER_SHA256)
    log = EventLog("run", plan)
    for trial in plan.trials:
        if trial.kind is TrialKind.MEASURE:
            log.finished(trial.key, [Sampled("latency_ns", [10**trial.index] * 10)])
    store.logs.ingest([log.arrived()])
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


def measure_on_two_runtimes(store: Store, run: str, latencies: dict[tuple[str, str], float]) -> None:
    """Store a run of fp32 and int8 on two engines, with one latency by variant and runtime."""
    device = sample_device()
    sweep = sample_sweep(runtimes=(TFLITE, ONNX))
    store.runs.create_run(sample_header(run, sweep, TWO_FORMATS), TWO_FORMATS, [device])
    plan = sample_plan(device, sweep, TWO_FORMATS)
    save_plan(store, run, plan, save_snapshot(store, device, Facts(FACTS), STARTED_AT), WORKER_SHA256)
    log = EventLog(run, plan)
    jobs = {job.key: job for job in plan.jobs}
    for trial in plan.trials:
        job = jobs[trial.job]
        latency = latencies.get((job.variant, job.runtime.name))
        if trial.kind is TrialKind.PREFLIGHT:
            log.finished(trial.key, [number("accuracy_top1", 0.97)])
        elif latency is not None:
            log.finished(trial.key, [number("latency_ns", latency)])
    store.logs.ingest([log.run_finished().arrived()])


def test_a_variant_stands_beside_itself_on_the_first_runtime_of_the_sweep(store: Store) -> None:
    first, second = ("fp32", "tflite-runtime"), ("fp32", "onnxruntime")
    measure_on_two_runtimes(store, "run", {first: 40.0, second: 60.0, ("int8", "tflite-runtime"): 5.0})
    measure_on_two_runtimes(store, "gap", {second: 70.0})
    columns = "format, value, base_value, first_runtime, first_runtime_value, ratio_to_first_runtime"
    found = query(
        store,
        f"SELECT run, variant, {columns} FROM v_variant_compare WHERE metric = 'latency_ns' ORDER BY 1 DESC, 4, 2",
    )
    assert found == [
        ("run", "int8", "tflite", 5.0, 40.0, TFLITE.label, 5.0, 1.0),
        ("run", "fp32", "tflite", 40.0, 40.0, TFLITE.label, 40.0, 1.0),
        ("run", "fp32", "onnx", 60.0, 60.0, TFLITE.label, 40.0, 1.5),
        ("gap", "fp32", "onnx", 70.0, 70.0, TFLITE.label, None, None),
    ]


def test_each_cell_has_the_size_of_the_artifact_that_its_runtime_loads(store: Store) -> None:
    measure_on_two_runtimes(store, "run", {})
    sizes = {
        (one.cell.variant, one.cell.runtime): one.size_bytes for one in store.results.cell_results("run", "latency_ns")
    }
    assert sizes == {("fp32", TFLITE.label): 21_000, ("fp32", ONNX.label): 21_001, ("int8", TFLITE.label): 21_003}
    (excluded,) = store.results.excluded_cells("run")
    assert excluded.label == "int8 · onnxruntime==1.20.1 · threads=1"


def test_fp32_on_two_runtimes_is_one_comparison_with_a_verdict(store: Store) -> None:
    measure_on_two_runtimes(store, "run", {("fp32", "tflite-runtime"): 40.0, ("fp32", "onnxruntime"): 60.0})
    comparison = compare(store.results, "run", "runtime", "tflite-runtime")
    by_variant = {group.fixed["variant"]: group for group in comparison.groups}
    (row,) = by_variant["fp32"].rows
    assert (row.verdict, row.ratio and round(row.ratio.value, 9)) == (Verdict.REGRESSED, 1.5)
    assert (row.size_ratio, row.accuracy_difference) == (21_001 / 21_000, 0.0)
    (missing,) = by_variant["int8"].rows
    assert (missing.verdict, missing.ratio) == (Verdict.NOT_COMPARABLE, None)
    assert missing.notes == ("missing: onnxruntime loads onnx, and int8 has tflite alone",)


@pytest.mark.system
def test_every_later_version_of_the_comparison_answers_as_the_first(store: Store) -> None:
    measure(store, "run", {("fp32", 1): (30, 40, 50), ("fp16", 1): (10, 20, 90), ("int8", 1): (4, 5, 6)})
    measure(store, "gap", {("fp32", 2): (8, 8, 8), ("int8", 2): (2, 2, 2)}, hours=1, device="nano-01")
    measure(store, "orphan", {("int8", 1): (2, 2, 2)}, hours=2)
    first = (migrations_directory() / "views" / "v_variant_compare.1.sql").read_text().partition(" AS\n")[2]
    columns = ", ".join(store_columns(store, first))
    found = sorted(map(repr, query(store, f"SELECT {columns} FROM v_variant_compare")))
    assert found == sorted(map(repr, query(store, first)))
    assert len(found) == 6 + 18  # cells with a latency; the preflights of all


@pytest.mark.parametrize("view", ["v_cell", "v_variant_compare"])
def test_a_filter_on_a_run_does_not_read_the_whole_history(store: Store, view: str) -> None:
    if not store.database.is_sqlite:
        pytest.skip("PostgreSQL plans by the tables' sizes")
    plan = [step for *_, step in query(store, f"EXPLAIN QUERY PLAN SELECT * FROM {view} WHERE run = 'run'")]
    assert any(step.startswith("SEARCH run ") for step in plan)
    assert [
        step for step in plan if step.startswith(("SCAN attempt", "SCAN job", "SCAN measurement", "SCAN trial"))
    ] == []


CELLS = "metric = 'latency_ns' AND kind = 'measure'"


@pytest.mark.parametrize("with_statistics", [False, True], ids=["no statistics", "statistics"])
@pytest.mark.parametrize("question", ["v_latest", "v_cell", f"v_variant_compare WHERE variant = 'int8' AND {CELLS}"])
def test_a_question_about_cells_reads_no_measurements(store: Store, question: str, with_statistics: bool) -> None:
    measure(store, "run", {("fp32", 1): (10, 20, 30), ("int8", 1): (4, 5, 6)})
    plan = plan_of(store, question, with_statistics)
    assert "cell_value" in plan
    assert not re.search(r"\b(measurement|attempt|trial)\b", plan)


@pytest.mark.parametrize(
    "question",
    [
        f"v_history WHERE device = 'pi-03' AND model = 'digits' AND variant = 'int8' AND {CELLS}",
        f"v_latest WHERE device = 'pi-03' AND {CELLS}",
        f"v_variant_compare WHERE variant = 'int8' AND {CELLS}",
    ],
)
def test_a_question_about_a_few_series_begins_with_the_small_tables(store: Store, question: str) -> None:
    if not store.database.is_sqlite:
        pytest.skip("PostgreSQL plans by the tables' sizes")
    # Without statistics SQLite takes every table for a large one.
    scanned = set(re.findall(r"SCAN (\w+)", plan_of(store, question, with_statistics=False)))
    assert scanned <= {"device", "model", "model_variant", "series"}


def plan_of(store: Store, question: str, with_statistics: bool) -> str:
    """Return how the database would answer, with the statistics of these few rows or with none."""
    explain = "EXPLAIN QUERY PLAN" if store.database.is_sqlite else "EXPLAIN"
    with store.database.write() as connection:
        if with_statistics:
            connection.execute(text("ANALYZE"))
        rows = connection.execute(text(f"{explain} SELECT * FROM {question}")).all()
        connection.rollback()
    return "\n".join(str(row[-1]) for row in rows)


def test_a_lineage_declared_anew_holds_for_earlier_runs_too(store: Store) -> None:
    measure(store, "run", {("fp32", 1): (10, 20, 30), ("fp16", 1): (5, 5, 5), ("int8", 1): (4, 4, 4)})
    asked = (
        "SELECT parent, parent_value, base, base_value, first_runtime_value FROM v_variant_compare "
        "WHERE variant = 'int8' AND metric = 'latency_ns'"
    )
    assert query(store, asked) == [("fp16", 5.0, "fp32", 20.0, 4.0)]
    for parent, expected in (
        ("fp32", ("fp32", 20.0, "fp32", 20.0, 4.0)),
        (None, (None, None, "int8", 4.0, 4.0)),
        ("gone", ("gone", None, "int8", 4.0, 4.0)),
    ):
        int8 = replace(MODEL.variants["int8"], parent=parent)
        changed = replace(MODEL, variants={**MODEL.variants, "int8": int8})
        store.runs.create_run(sample_header(f"of {parent}", SWEEP, changed), changed, [sample_device()])
        assert query(store, asked) == [expected]


def test_a_parent_of_nothing_gives_no_ratio(store: Store) -> None:
    measure(store, "run", {("fp32", 1): (0, 0, 0), ("fp16", 1): (1, 1, 1)})
    found = query(
        store, "SELECT ratio_to_parent FROM v_variant_compare WHERE variant = 'fp16' AND metric = 'latency_ns'"
    )
    assert found == [(None,)]


@pytest.mark.parametrize(("large", "small"), [("int8", "fp32"), ("fp32", "int8")])
def test_a_ratio_beyond_all_numbers_is_none_and_the_others_are_there(store: Store, large: str, small: str) -> None:
    measure(
        store,
        "run",
        {(large, 1): (1.5e308,) * 3, (small, 1): (1e-300,) * 3, (large, 2): (4,) * 3, (small, 2): (2,) * 3},
    )
    found = query(
        store,
        "SELECT settings ->> 'threads', ratio_to_base FROM v_variant_compare "
        "WHERE variant = 'int8' AND metric = 'latency_ns' ORDER BY 1",
    )
    assert [ratio for _, ratio in found] == [None, 2.0 if large == "int8" else 0.5]


def test_preflight_metrics_are_there_under_their_kind(store: Store) -> None:
    measure(store, "run", {("fp32", 1): (10, 20, 30)})
    found = query(store, "SELECT DISTINCT kind, metric, value FROM v_latest WHERE kind = 'preflight'")
    assert found == [("preflight", "accuracy_top1", 0.97)]


def test_the_metrics_of_a_run_are_those_of_its_counted_attempts(store: Store) -> None:
    measure(store, "one", {("fp32", 1): (10, 20, 30)})
    measure(store, "two", {}, hours=1)
    assert store.results.measured_metrics("one") == ["accuracy_top1", "latency_ns"]
    assert store.results.measured_metrics("two") == ["accuracy_top1"]


def test_moments_sort_as_text_and_as_time(store: Store) -> None:
    for run, hours in {"b": 2.5, "c": 30, "a": 0}.items():
        measure(store, run, {("fp32", 1): (1, 1, 1)}, hours)
    found = query(store, "SELECT DISTINCT run, run_started_at FROM v_history ORDER BY run_started_at")
    assert [run for run, _ in found] == ["a", "b", "c"]
