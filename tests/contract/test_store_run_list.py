"""The list of runs says what the runs themselves say, on every database."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.errors import ExitCode, StoreError
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.values import DevicePlan, TrialKind
from orchestrator.domain.run import DeviceRunState, RunState, RunSummary, TrialCounts, TrialState, count_trials
from orchestrator.services.runs.show import details_of
from orchestrator.store.console.readonly import open_console
from orchestrator.store.console.run_list import DEVICES_OF_RUNS, list_runs
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
from tests.databases import Databases, PostgresDatabases

PI, NANO = sample_device("pi-03"), sample_device("nano-01")
MODEL, SWEEP = sample_model(), sample_sweep()
RUNS = 1_000
"""Enough runs that a look at each count for each run is a hundred times what is needed."""
LATENCY = Sampled("latency_ns", [1000] * 20)


def url_of(store: Store) -> str:
    return store.database.url.render_as_string(hide_password=False)


def listed(store: Store, limit: int = 10) -> Mapping[str, RunSummary]:
    return {summary.run: summary for summary in list_runs(url_of(store), limit)}


def create(store: Store, run: str, after_s: float = 0) -> None:
    store.runs.create_run(sample_header(run, SWEEP, MODEL, STARTED_AT + timedelta(seconds=after_s)), MODEL, [PI, NANO])


def measure_some(store: Store, run: str) -> DevicePlan:
    """Leave two measured trials and one that began on the first device; the second one has no plan."""
    plan = sample_plan(PI, SWEEP, MODEL)
    save_plan(store, run, plan, save_snapshot(store, PI, Facts(FACTS), STARTED_AT), WORKER_SHA256)
    first, second, third, *_ = [trial.key for trial in plan.trials if trial.kind is TrialKind.MEASURE]
    log = EventLog(run, plan, "log-1").runner_started().started(first).finished(first, [LATENCY])
    store.logs.ingest([log.started(second).finished(second, [LATENCY]).started(third).arrived()])
    return plan


def test_an_empty_database_has_none(store: Store) -> None:
    assert list_runs(url_of(store), 10) == []


def test_the_newest_come_first_and_no_more_than_asked_for(store: Store) -> None:
    for number in range(4):
        create(store, f"run-{number}", after_s=number)
    assert list(listed(store, limit=3)) == ["run-3", "run-2", "run-1"]


def test_a_run_that_nothing_has_begun_is_listed(store: Store) -> None:
    create(store, "run")
    assert listed(store)["run"] == RunSummary(
        "run", SWEEP.name, (MODEL.name,), RunState.ACTIVE, 2, 0, TrialCounts(), STARTED_AT, None, ("nano-01", "pi-03")
    )


@pytest.mark.parametrize("nano", list(DeviceRunState))
@pytest.mark.parametrize("pi", [DeviceRunState.COMPLETE, DeviceRunState.CANCELLED, DeviceRunState.RUNNING])
def test_states_and_counts_are_those_of_the_run_itself(store: Store, pi: DeviceRunState, nano: DeviceRunState) -> None:
    create(store, "other", after_s=5)
    create(store, "run")
    measure_some(store, "run")
    store.runs.set_device_state("run", "pi-03", pi)
    store.runs.set_device_state("run", "nano-01", nano)
    record = store.runs.find_run("run")
    assert record is not None

    summary = listed(store)["run"]

    assert summary.state is record.state
    assert (summary.started_at, summary.finished_at) == (record.header.started_at, record.finished_at)
    assert summary.devices == 2
    assert summary.devices_complete == [pi, nano].count(DeviceRunState.COMPLETE)
    assert summary.counts.planned == sum(sum(device.trials.values()) for device in record.devices) > 3
    assert summary.counts == count_trials([device.trials for device in record.devices])
    assert summary.counts.measured == 2


ALLOWING = """\
sweep: digits-variants
model: digits
variants: [fp32, int8]
runtimes: [tflite-runtime==2.14.0]
allow_failures: [{variant: int8, device: "pi-*"}]
"""


@pytest.mark.parametrize(
    ("document", "rejected", "state"),
    [
        ("name: digits-variants\n", None, RunState.COMPLETE),
        ("name: digits-variants\n", "int8", RunState.INCOMPLETE),
        (ALLOWING, "int8", RunState.COMPLETE),
        (ALLOWING, "fp32", RunState.INCOMPLETE),
        ("this mentions allow_failures: and is no sweep", "int8", RunState.INCOMPLETE),
    ],
)
def test_a_rejected_cell_counts_alike_wherever_the_state_of_a_run_is_told(
    store: Store, document: str, rejected: str | None, state: RunState
) -> None:
    header = replace(sample_header("run", SWEEP, MODEL, STARTED_AT), sweep_document=document)
    store.runs.create_run(header, MODEL, [PI])
    plan = sample_plan(PI, SWEEP, MODEL)
    save_plan(store, "run", plan, save_snapshot(store, PI, Facts(FACTS), STARTED_AT), WORKER_SHA256)
    variants = {job.key: job.variant for job in plan.jobs}
    log = EventLog("run", plan, "log-1").runner_started()
    for trial in plan.trials:
        if variants[trial.job] != rejected:
            log.started(trial.key).finished(trial.key, [LATENCY])
        elif trial.kind is TrialKind.PREFLIGHT:
            log.started(trial.key).failed(trial.key)
        else:
            log.skipped(trial.key)
    store.logs.ingest([log.run_finished().arrived()])
    record = store.runs.find_run("run")
    assert record is not None
    missing = [trial for trial in plan.trials if trial.kind is TrialKind.MEASURE and variants[trial.job] == rejected]
    statement = "SELECT count(*) FROM v_missing WHERE run = 'run'"
    with closing(open_console(url_of(store), own=True)) as console:
        assert [tuple(row) for row in console.query(statement)[1]] == [(len(missing),)]
    assert (record.state, listed(store)["run"].state) == (state, state)
    if "is no sweep" not in document:
        details = details_of(store, "run")
        assert details.record.state is state
        assert (details.exit_code is ExitCode.FINE) == (state is RunState.COMPLETE)


def test_preflights_are_no_trials_of_a_run(store: Store) -> None:
    create(store, "run")
    plan = measure_some(store, "run")
    preflights = [trial.key for trial in plan.trials if trial.kind is TrialKind.PREFLIGHT]
    log = EventLog("run", plan, "log-2")
    for preflight in preflights:
        log.started(preflight).finished(preflight)
    store.logs.ingest([log.arrived()])
    record = store.runs.find_run("run")
    assert record is not None

    assert len(preflights) == len(plan.jobs) > 0
    measures = len(plan.trials) - len(preflights)
    assert (listed(store)["run"].counts.planned, listed(store)["run"].counts.measured) == (measures, 2)
    (counts,) = [device.trials for device in record.devices if device.device == "pi-03"]
    assert counts == {TrialState.MEASURED: 2, TrialState.RUNNING: 1, TrialState.PLANNED: measures - 3}


MANY_RUNS = f"""
INSERT INTO run (id, sweep_id, sweep_source, model_id, model_directory, seed, started_at, controller, settings)
    SELECT 'run-' || n, sweep_id, sweep_source, model_id, model_directory, seed, started_at + n * interval '1 hour',
        controller, settings
    FROM run, generate_series(1, {RUNS}) AS n;
INSERT INTO run_device (run_id, device_id, state)
    SELECT run.id, device.id, 'complete' FROM run, device WHERE run.id LIKE 'run-%';
INSERT INTO trial (run_device_id, job_id, key, kind, trial_index, position, state)
    SELECT run_device.id, (SELECT min(id) FROM job), 't' || n, 'measure', n, n, 'measured'
    FROM run_device, generate_series(1, 4) AS n WHERE run_id LIKE 'run-%';
"""


def rows_touched(plan: Mapping[str, Any]) -> float:
    """Return how many rows the nodes of a plan gave on or threw away, over all loops."""
    thrown = sum(value for name, value in plan.items() if name.startswith("Rows Removed"))
    below = sum(rows_touched(node) for node in plan.get("Plans", ()))
    return float((plan["Actual Rows"] + thrown) * plan["Actual Loops"] + below)


@pytest.mark.system
@pytest.mark.parametrize("has_statistics", [False, True], ids=["without-statistics", "with-statistics"])
def test_a_long_list_looks_at_no_count_once_for_each_run(
    postgres_databases: PostgresDatabases, has_statistics: bool
) -> None:
    """PostgreSQL once joined the counts of 2,000 runs by a nested loop: four million looks for two thousand lines."""
    with open_store(postgres_databases.migrated()) as store:
        create(store, "first")
        measure_some(store, "first")
        with store.database.write() as connection:
            for table in ("run", "run_device", "trial"):
                connection.exec_driver_sql(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
            connection.exec_driver_sql(MANY_RUNS, execution_options={"no_parameters": True})
            if has_statistics:
                connection.exec_driver_sql("ANALYZE")
            explain = "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) "
            statement = explain + DEVICES_OF_RUNS.format(limit=RUNS, conditions="1 = 1")
            ((answer,),) = connection.exec_driver_sql(statement).all()
        assert len(listed(store, RUNS)) == RUNS
    trials = 2 * RUNS * 4
    assert 2 * RUNS < rows_touched(answer[0]["Plan"]) < 10 * trials


def test_times_are_in_utc(store: Store) -> None:
    create(store, "run")
    for device in ("pi-03", "nano-01"):
        store.runs.set_device_state("run", device, DeviceRunState.FAILED)
    summary = listed(store)["run"]
    assert summary.started_at.tzinfo is UTC
    assert summary.finished_at is not None
    assert summary.finished_at.tzinfo is UTC
    assert summary.finished_at <= datetime.now(UTC)


def test_a_database_without_tables_is_made_or_says_how(databases: Databases) -> None:
    url = databases.empty()
    if databases.kind == "sqlite":
        Path(url.removeprefix("sqlite:///")).touch()
        assert list_runs(url, 10) == []
    else:
        with pytest.raises(StoreError) as raised:
            list_runs(url, 10)
        assert raised.value.hint is not None
        assert "benchfleet db upgrade" in raised.value.hint


def test_a_database_that_nothing_has_made_yet_is_not_made_by_looking(tmp_path: Path) -> None:
    assert list_runs(str(tmp_path / "a.db"), 10) == []
    assert list(tmp_path.iterdir()) == []
