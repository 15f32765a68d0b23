"""What every database knows of a series over time."""

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.domain.facts import Facts
from orchestrator.domain.night import NightRun, NightStage
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.run import TrialState
from orchestrator.domain.series_history import Window
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
from tests.contract.planned_runs import LATENCIES

DAY = timedelta(days=1)
MODEL = sample_model()
KERNELS = ("6.6.20", "6.6.20", "6.6.31")


@pytest.fixture
def three_days(store: Store) -> Store:
    """int8 and fp32 on pi-03 on three days; of int8 the second day has one trial, and the third day none."""
    device, sweep = sample_device(), sample_sweep(trials=2)
    for day, kernel in enumerate(KERNELS):
        store.runs.create_run(sample_header(f"day-{day}", sweep, MODEL, STARTED_AT + day * DAY), MODEL, [device])
        plan = sample_plan(device, sweep, MODEL)
        snapshot = save_snapshot(store, device, Facts({**FACTS, "kernel": kernel}), STARTED_AT + day * DAY)
        save_plan(store, f"day-{day}", plan, snapshot, WORKER_SHA256)
        log, jobs = EventLog(f"day-{day}", plan), {job.key: job for job in plan.jobs}
        for trial in plan.trials:
            if trial.kind is TrialKind.PREFLIGHT:
                log.finished(trial.key, [number("accuracy_top1", 0.9 + day / 100)])
            elif jobs[trial.job].variant == "fp32" or trial.index > day:
                value = 1000.0 * (day + 1) + trial.index
                log.finished(trial.key, [number("latency_ns", value), number("load_ns", 5.0)])
            else:
                log.failed(trial.key)
        store.logs.ingest([log.run_finished().arrived()])
    return store


def series_of(store: Store, variant: str) -> int:
    (found,) = store.series.find_series(variant=variant)
    return found.id


def test_series_are_found_by_id_device_and_variant(three_days: Store) -> None:
    both = three_days.series.find_series()
    assert [one.variant for one in both] == ["fp32", "int8"]
    assert both[1].label == "pi-03 · digits · int8 · tflite-runtime==2.14.0 · threads=1"
    assert three_days.series.find_series(ids=[both[1].id]) == [both[1]]
    assert three_days.series.find_series(device="pi-03", variant="int8") == [both[1]]
    assert three_days.series.find_series(device="nano-01") == []
    assert three_days.series.measured_metrics(both[0].id) == ["accuracy_top1", "latency_ns", "load_ns"]


def test_runs_come_oldest_first_with_a_value_for_each_counted_trial(three_days: Store) -> None:
    runs, more = three_days.series.runs_of(series_of(three_days, "int8"), "latency_ns", Window())
    assert more == 0
    assert [(one.run, one.trial_values) for one in runs] == [
        ("day-0", (1001.0, 1002.0)),
        ("day-1", (2002.0,)),
        ("day-2", ()),
    ]
    assert [dict(one.states) for one in runs] == [
        {TrialState.MEASURED: 2},
        {TrialState.MEASURED: 1, TrialState.FAILED: 1},
        {TrialState.FAILED: 2},
    ]
    assert [len(one.builds) for one in runs] == [1, 1, 0]
    assert runs[0].hashes == runs[1].hashes != runs[2].hashes
    assert [one.sources for one in runs] == [(), (), ()]


def test_a_window_bounds_what_is_read_and_says_what_it_leaves_out(three_days: Store) -> None:
    series = series_of(three_days, "fp32")

    def names(window: Window) -> tuple[list[str], int]:
        runs, more = three_days.series.runs_of(series, "latency_ns", window)
        return [one.run for one in runs], more

    assert names(Window(limit=2)) == (["day-1", "day-2"], 1)
    assert names(Window(limit=3)) == (["day-0", "day-1", "day-2"], 0)
    assert names(Window(since=STARTED_AT + DAY)) == (["day-1", "day-2"], 0)
    assert names(Window(until=STARTED_AT + DAY)) == (["day-0"], 0)
    assert names(Window(run="day-1")) == (["day-1"], 0)


def test_the_preflights_value_stands_where_no_measure_trial_has_the_metric(three_days: Store) -> None:
    runs, _ = three_days.series.runs_of(series_of(three_days, "int8"), "accuracy_top1", Window())
    assert [one.trial_values for one in runs] == [(0.9,), (0.91,), (0.92,)]


def test_a_percentile_is_read_from_the_samples_unless_a_trial_reports_it_by_name(store: Store) -> None:
    device, sweep = sample_device(), sample_sweep(("int8",), trials=2)
    store.runs.create_run(sample_header("run", sweep, MODEL), MODEL, [device])
    plan = sample_plan(device, sweep, MODEL)
    save_plan(store, "run", plan, save_snapshot(store, device, Facts(FACTS), STARTED_AT), WORKER_SHA256)
    first, second = [trial.key for trial in plan.trials if trial.kind is TrialKind.MEASURE]
    log = EventLog("run", plan).finished(first, [LATENCIES])
    store.logs.ingest([log.finished(second, [LATENCIES, number("latency_ns_p90", 7.0)]).arrived()])
    (run,), _ = store.series.runs_of(series_of(store, "int8"), "latency_ns_p90", Window())
    measured = sorted(LATENCIES.samples)
    assert len(run.trial_values) == 2
    assert min(run.trial_values) == 7.0
    assert measured[260] <= max(run.trial_values) <= measured[280]


def test_the_environments_of_snapshots_are_read_by_id(three_days: Store) -> None:
    runs, _ = three_days.series.runs_of(series_of(three_days, "fp32"), "latency_ns", Window())
    snapshots = [one.snapshot for one in runs if one.snapshot is not None]
    found = three_days.series.environments([*snapshots, 10**9])
    assert [found[snapshot].facts["kernel"] for snapshot in snapshots] == list(KERNELS)
    assert len(found) == 3


def test_runs_of_a_night_say_which_and_in_which_stage(three_days: Store) -> None:
    three_days.nights.begin_night("night-1", "main")
    three_days.nights.add_run("night-1", NightRun(NightStage.FIRST_LOOK, "digits-variants", "day-1"))
    runs, _ = three_days.series.runs_of(series_of(three_days, "fp32"), "latency_ns", Window())
    assert [(one.night, one.stage) for one in runs] == [(None, None), ("night-1", "first-look"), (None, None)]


def test_regressions_are_read_for_one_series(three_days: Store) -> None:
    from orchestrator.domain.regression import Direction, Suspicion

    three_days.nights.begin_night("night-1", "main")
    mine, other = series_of(three_days, "fp32"), series_of(three_days, "int8")
    suspicion = Suspicion("main", "night-1", mine, "latency_ns", Direction.ROSE, "day-1")
    for series in (mine, other):
        three_days.regressions.suspect(replace(suspicion, series=series), "cron@lab")
    assert [one.series.id for one in three_days.regressions.regressions(series=mine)] == [mine]
    assert len(three_days.regressions.regressions()) == 2


def test_what_a_run_was_planned_with_is_read_for_each_cell(three_days: Store) -> None:
    first, second = three_days.builds.planned_builds("day-0")
    assert (first.device, first.label) == ("pi-03", "fp32 · tflite-runtime==2.14.0 · threads=1")
    assert first.artifact_sha256 == MODEL.variants["fp32"].artifacts[0].sha256 != second.artifact_sha256
    assert first.runtime_sha256 == second.runtime_sha256
    assert first.worker_sha256 == WORKER_SHA256
    found = three_days.builds.run_environments("day-2")
    assert [one.facts["kernel"] for one in found["pi-03"]] == ["6.6.31"]
    assert three_days.builds.planned_builds("day-9") == []
