"""The views for what a lab asks: each against an answer that is found in another way, on every database."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
import scipy
from sqlalchemy import select, text

from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.run import DeviceRunState
from orchestrator.store.schema import tables as t
from orchestrator.store.schema.migrations import migrations_directory
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    WORKER_SHA256,
    EventLog,
    number,
    power_figure,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
    save_snapshot,
)
from tests.contract.planned_runs import Planned
from tests.histories import store_random_history

pytestmark = pytest.mark.system  # slow: kept out of the quick loop

MODEL = sample_model()
VARIANTS = ("fp32", "fp16", "int8")
Figures = Mapping[str, Any]


def query(store: Store, statement: str) -> Sequence[Any]:
    with store.database.read() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def measure(store: Store, run: str, figures: Mapping[str, Figures], trials: int = 1, hours: float = 0) -> None:
    """Store a run. Each variant has a latency for each trial, and may have an accuracy and an energy."""
    device, sweep = sample_device(), sample_sweep(variants=VARIANTS, trials=trials)
    store.runs.create_run(sample_header(run, sweep, MODEL, STARTED_AT + timedelta(hours=hours)), MODEL, [device])
    plan = sample_plan(device, sweep, MODEL)
    save_plan(store, run, plan, save_snapshot(store, device, Facts(FACTS), STARTED_AT), WORKER_SHA256)
    log, jobs = EventLog(run, plan), {job.key: job for job in plan.jobs}
    for trial in plan.trials:
        found = figures.get(jobs[trial.job].variant, {})
        if trial.kind is TrialKind.PREFLIGHT:
            log.finished(trial.key, [number("accuracy_top1", found["accuracy"])] if "accuracy" in found else [])
        elif trial.index <= len(found.get("latencies", ())):
            metrics = [number("latency_ns", found["latencies"][trial.index - 1])]
            sources = found.get("sources", ())
            metrics += [power_figure("energy_mj", 7.0, sources[trial.index - 1])] if sources else []
            log.finished(trial.key, metrics)
    store.logs.ingest([log.run_finished().arrived()])


def test_noise_is_the_standard_deviation_that_the_range_tells() -> None:
    statement = (migrations_directory() / "views" / "v_noise.2.sql").read_text(encoding="utf-8")
    constants = {int(trials): float(range_) for trials, range_ in re.findall(r"WHEN (\d+) THEN (\d\.\d+)", statement)}
    assert sorted(constants) == list(range(2, 26))
    grid = np.linspace(-9, 9, 20_001)
    for trials, mean_range in constants.items():
        below = scipy.stats.norm.cdf(grid)
        expected = np.trapezoid(1 - below**trials - (1 - below) ** trials, grid)
        assert mean_range == pytest.approx(expected, abs=6e-4), trials


def test_noise_has_a_figure_or_a_reason(store: Store) -> None:
    figures: Mapping[str, Figures] = {
        "fp32": {"latencies": (90, 100, 130), "sources": ("rapl", "rapl", "hwmon ina")},
        "fp16": {"latencies": (100,)},
        "int8": {"latencies": (0, 0, 0), "accuracy": 0.9},
    }
    measure(store, "run", figures, trials=3)
    found = query(store, "SELECT variant, metric, trials, noise, noise_reason FROM v_noise ORDER BY variant, metric")
    assert found == [
        ("fp16", "latency_ns", 1, None, "one trial alone"),
        ("fp32", "energy_mj", 3, None, "trials of several power sources"),
        ("fp32", "latency_ns", 3, pytest.approx(0.4 / 1.693), None),
        ("int8", "latency_ns", 3, None, "the median is not above 0"),
    ]


def test_no_number_of_a_device_keeps_the_noise_from_an_answer(store: Store) -> None:
    figures: Mapping[str, Figures] = {
        "fp32": {"latencies": (1e-300, 1e-300, 1.5e308)},
        "fp16": {"latencies": (-1.5e308, 3, 1.5e308)},
        "int8": {"latencies": (1e308, 1e308, 1.5e308)},
    }
    measure(store, "run", figures, trials=3)
    found = query(store, "SELECT variant, noise, noise_reason FROM v_noise ORDER BY variant")
    assert found == [
        ("fp16", None, "a value is below 0"),
        ("fp32", None, "the values lie too far apart"),
        ("int8", pytest.approx(0.5 / 1.693), None),
    ]


def test_noise_of_many_trials_is_not_told_by_their_range(store: Store) -> None:
    measure(store, "run", {"fp32": {"latencies": range(1, 27)}}, trials=26)
    (found,) = query(store, "SELECT trials, noise, noise_reason FROM v_noise")
    assert found == (26, None, "more than 25 trials: ask v_history")


@pytest.mark.parametrize("seed", range(3))
def test_missing_says_what_the_run_says(store: Store, seed: int) -> None:
    store_random_history(store, seed)
    found = query(store, "SELECT run, device, trial, state, reason FROM v_missing WHERE trial IS NOT NULL")
    with store.database.read() as connection:
        runs = connection.execute(select(t.run.c.id)).scalars().all()
    expected = [
        (run, one.device, one.trial, one.state.value, one.reason)
        for run in runs
        for one in store.progress.missing_trials(run)
    ]
    assert sorted(found) == sorted(expected)
    assert len({state for *_, state, _reason in found}) >= 3


def test_missing_names_every_reason(store: Store, planned: Planned) -> None:
    log = planned.log().runner_started()
    failed, cut, invalid, skipped, unsaid, *_ = planned.measures
    log.failed(failed, message="no such op").finished(invalid, invalid=["too-hot", "throttled"]).skipped(skipped)
    log.finished(unsaid, outcome="failed", failure={"kind": "timeout", "message": ""}).started(cut)
    store.logs.ingest([log.arrived()])
    reasons = dict(query(store, "SELECT trial, reason FROM v_missing WHERE device = 'pi-03'"))
    assert reasons[failed] == "load-error: no such op"
    assert reasons[invalid] == "too-hot, throttled"
    assert reasons[skipped] == "its preflight failed: no such op"
    assert (reasons[unsaid], reasons[cut]) == ("timeout", "running")
    store.runs.set_device_state("run", "pi-03", DeviceRunState.STOPPED, "the board was unplugged")
    reasons = dict(query(store, "SELECT trial, reason FROM v_missing WHERE device = 'pi-03'"))
    assert reasons[cut] == "interrupted"
    assert set(reasons.values()) >= {"the board was unplugged"}


def test_missing_has_a_row_for_a_device_that_never_got_a_plan(store: Store) -> None:
    device = sample_device()
    store.runs.create_run(sample_header("run", sample_sweep(), MODEL), MODEL, [device])
    store.runs.set_device_state("run", device.name, DeviceRunState.FAILED, "no route to host")
    found = query(store, "SELECT device, model, variant, trial, device_state, reason FROM v_missing")
    assert found == [("pi-03", "digits", None, None, "failed", "no route to host")]


def test_missing_leaves_out_what_nobody_asked_for(store: Store) -> None:
    measure(store, "run", {variant: {"latencies": (1,)} for variant in VARIANTS})
    with store.database.write() as connection:
        part = connection.execute(select(t.run_device.c.id)).scalar_one()
        connection.execute(t.excluded_cell.insert(), {"run_device_id": part, "label": "int4", "reason": "no artifact"})
    assert query(store, "SELECT * FROM v_missing") == []


@pytest.mark.parametrize("seed", range(3))
def test_invalid_has_a_row_for_each_broken_condition(store: Store, seed: int) -> None:
    store_random_history(store, seed)
    with store.database.read() as connection:
        rows = connection.execute(select(t.attempt.c.id, t.attempt.c.outcome, t.attempt.c.invalid)).all()
    expected = Counter((row.id, reason) for row in rows if row.outcome == "ok" for reason in row.invalid or ())
    assert Counter(query(store, "SELECT attempt_id, reason FROM v_invalid")) == expected
    assert expected


def test_invalid_tells_what_a_later_attempt_made_good(store: Store, planned: Planned) -> None:
    log, (first, second, *_) = planned.log(), planned.measures
    log.finished(first, [number("latency_ns", 1)], invalid=["too-hot", "throttled"])
    log.finished(first, [number("latency_ns", 1)], attempt=2)
    log.failed(second).finished(second, [number("latency_ns", 1)], invalid=["cpu-pressure"], attempt=2)
    store.logs.ingest([log.arrived()])
    found = query(store, "SELECT trial, ordinal, reason, trial_state FROM v_invalid ORDER BY attempt_id, reason")
    assert found == [
        (first, 1, "throttled", "measured"),
        (first, 1, "too-hot", "measured"),
        (second, 2, "cpu-pressure", "invalid"),
    ]


def test_an_attempt_says_whether_it_counts_and_why_not(store: Store, planned: Planned) -> None:
    log, (spoiled, failed, unsaid, cut, going, *_) = planned.log().runner_started(), planned.measures
    log.finished(spoiled, [number("latency_ns", 1)], invalid=["too-hot", "throttled"])
    log.finished(spoiled, [number("latency_ns", 1)], attempt=2)
    log.failed(failed, message="no such op")
    log.finished(unsaid, outcome="failed", failure={"kind": "timeout", "message": ""})
    log.started(cut).started(cut, attempt=2).finished(cut, [number("latency_ns", 1)], attempt=2).started(going)
    store.logs.ingest([log.arrived()])
    columns = "trial, ordinal, result, reason"
    found = query(store, f"SELECT {columns} FROM v_attempt WHERE kind = 'measure' ORDER BY attempt_id")
    assert sorted(found) == sorted(
        [
            (spoiled, 1, "invalid", "too-hot, throttled"),
            (spoiled, 2, "counted", None),
            (failed, 1, "failed", "load-error: no such op"),
            (unsaid, 1, "failed", "timeout"),
            (cut, 1, "interrupted", "no end on record"),
            (cut, 2, "counted", None),
            (going, 1, "running", "no end on record"),
        ]
    )
    store.runs.set_device_state("run", "pi-03", DeviceRunState.STOPPED, "the board was unplugged")
    assert query(store, f"SELECT result FROM v_attempt WHERE trial = '{going}'") == [("interrupted",)]


@pytest.mark.parametrize("seed", range(3))
def test_every_attempt_has_a_row_and_all_but_the_counted_a_reason(store: Store, seed: int) -> None:
    store_random_history(store, seed)
    with store.database.read() as connection:
        rows = connection.execute(select(t.attempt.c.id, t.attempt.c.counted)).all()
    found = query(store, "SELECT attempt_id, result = 'counted', reason IS NULL FROM v_attempt")
    assert sorted(found) == sorted((row.id, row.counted, row.counted) for row in rows)


def test_environment_changes_name_each_changed_fact_and_no_other(store: Store) -> None:
    device, other = sample_device(), sample_device("nano-01")
    taken: list[Mapping[str, Any]] = [
        FACTS,
        {**FACTS, "load": "another"},
        {**FACTS, "kernel": "6.6.31", "governor": "ondemand"},
        {**FACTS, "kernel": "6.6.31", "governor": "ondemand", "cpu_count": 8},
        {**FACTS, "kernel": "6.6.31", "governor": None, "cpu_count": 8},
    ]
    for hours, facts in enumerate(taken):
        save_snapshot(store, device, Facts(facts), STARTED_AT + timedelta(hours=hours))
        save_snapshot(store, other, Facts(FACTS), STARTED_AT + timedelta(hours=hours))
    columns = "device, kind, key, was, now, key_reason"
    found = query(store, f"SELECT {columns} FROM v_environment_change ORDER BY changed_at, key")
    assert found == [
        ("pi-03", "environment", "governor", "performance", "ondemand", None),
        ("pi-03", "environment", "kernel", "6.6.20", "6.6.31", None),
        ("pi-03", "identity", "cpu_count", "4", "8", None),
        ("pi-03", "environment", "governor", "ondemand", None, None),
    ]


def test_environment_changes_say_when_no_known_fact_explains_a_hash(store: Store) -> None:
    for hours in range(2):
        snapshot = save_snapshot(store, sample_device(), Facts(FACTS), STARTED_AT + timedelta(hours=hours))
    with store.database.write() as connection:
        where = t.device_snapshot.c.id == snapshot
        connection.execute(t.device_snapshot.update().where(where).values(environment_hash="another"))
    found = query(store, "SELECT key, key_reason, environment_after, run FROM v_environment_change")
    assert found == [(None, "a fact that this view does not know", "another", None)]


def test_environment_changes_lead_to_the_first_run(store: Store) -> None:
    measure(store, "old", {})
    device, sweep = sample_device(), sample_sweep()
    store.runs.create_run(sample_header("new", sweep, MODEL), MODEL, [device])
    facts = Facts({**FACTS, "python": "3.12.1"})
    snapshot = save_snapshot(store, device, facts, STARTED_AT + timedelta(hours=1))
    save_plan(store, "new", sample_plan(device, sweep, MODEL), snapshot, WORKER_SHA256)
    found = query(store, "SELECT device, run, key, was, now, snapshot_after FROM v_environment_change")
    assert found == [("pi-03", "new", "python", str(FACTS["python"]), "3.12.1", snapshot)]


def test_pareto_finds_the_cells_that_nothing_beats(store: Store) -> None:
    measure(store, "old", {"fp32": {"latencies": (1,), "accuracy": 1.0}})
    figures = {
        "fp32": {"latencies": (100,), "accuracy": 0.97},
        "fp16": {"latencies": (100,), "accuracy": 0.96},
        "int8": {"latencies": (20,), "accuracy": 0.90, "sources": ("rapl",)},
    }
    measure(store, "new", figures, hours=1)
    columns = "variant, latency_ns, accuracy, energy_mj, source, better, run"
    found = query(store, f"SELECT {columns} FROM v_pareto ORDER BY variant")
    assert found == [
        ("fp16", 100.0, 0.96, None, None, 1, "new"),
        ("fp32", 100.0, 0.97, None, None, 0, "new"),
        ("int8", 20.0, 0.90, 7.0, "rapl", 0, "new"),
    ]
    assert query(store, "SELECT variant FROM v_pareto WHERE on_front ORDER BY variant") == [("fp32",), ("int8",)]


def test_pareto_says_nothing_without_an_accuracy_of_the_same_run(store: Store) -> None:
    measure(store, "old", {"fp32": {"latencies": (1,), "accuracy": 1.0}})
    measure(store, "new", {"fp32": {"latencies": (2,)}}, hours=1)
    found = query(store, "SELECT latency_ns, accuracy, better, on_front, on_front_reason FROM v_pareto")
    assert found == [(2.0, None, None, None, "the run has no accuracy of the cell")]


@pytest.mark.parametrize("view", ["v_noise", "v_missing", "v_invalid", "v_attempt"])
def test_a_filter_on_a_run_or_a_device_reads_no_whole_history(store: Store, view: str) -> None:
    if not store.database.is_sqlite:
        pytest.skip("PostgreSQL plans by the tables' sizes")
    measure(store, "run", {"fp32": {"latencies": (1,)}})
    for condition in ("run = 'run'", "device = 'pi-03' AND variant = 'fp32'"):
        plan = [step for *_, step in query(store, f"EXPLAIN QUERY PLAN SELECT * FROM {view} WHERE {condition}")]
        whole = r"SCAN (attempt|cell_value|job|measurement|trial|finished)\b"
        assert [step for step in plan if re.match(whole, step)] == [], json.dumps(plan, indent=1)


def test_questions_about_the_few_begin_with_the_few(store: Store) -> None:
    """Neither every attempt is read for the broken conditions, nor every device of a run for a changed fact."""
    if not store.database.is_sqlite:
        pytest.skip("PostgreSQL plans by the tables' sizes")
    measure(store, "run", {"fp32": {"latencies": (1,)}})
    plan = [step for *_, step in query(store, "EXPLAIN QUERY PLAN SELECT reason, count(*) FROM v_invalid GROUP BY 1")]
    assert any("USING INDEX ix_attempt_unfit" in step for step in plan)
    plan = [step for *_, step in query(store, "EXPLAIN QUERY PLAN SELECT * FROM v_environment_change")]
    assert any(step.startswith("SEARCH run_device USING INDEX ix_run_device_snapshot_id") for step in plan)
