"""What people say about runs, and what follows for views, lists and `last`, on every database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import MetaData, Table, func, inspect, select, text

from orchestrator.domain.annotation import Note
from orchestrator.domain.baseline import BaselineKind, NewBaseline
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.facts import Facts
from orchestrator.domain.lease import Granted, LeaseRequest
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.run import DeviceRunState, RunState
from orchestrator.domain.run_filter import RunFilter
from orchestrator.domain.run_words import Commit, NewWords
from orchestrator.domain.series_history import Window
from orchestrator.store.console.run_list import list_runs
from orchestrator.store.records import run_deletion
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
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
)

ANN = "ann@ws1"
PI, NANO = sample_device("pi-03"), sample_device("nano-01")
MODEL, SWEEP = sample_model(), sample_sweep(trials=2)
HOUR = timedelta(hours=1)
ALLOWING = """\
sweep: s
model: digits
variants: [fp32, int8]
runtimes: [tflite-runtime==2.14.0]
allow_failures: [{{variant: {variant}, device: "pi-*"}}]
"""
VIEWS = (
    "v_cell",
    "v_history",
    "v_latest",
    "v_variant_compare",
    "v_power",
    "v_noise",
    "v_missing",
    "v_invalid",
    "v_pareto",
)


def measure(store: Store, run: str, hour: int, words: NewWords = NewWords(), failing: bool = False) -> None:  # noqa: B008
    """Record a run of one device with results for every view: one trial fails, one breaks a condition."""
    store.runs.create_run(sample_header(run, SWEEP, MODEL, STARTED_AT + hour * HOUR), MODEL, [PI], words)
    plan = sample_plan(PI, SWEEP, MODEL)
    snapshot = save_snapshot(store, PI, Facts(FACTS), STARTED_AT + hour * HOUR)
    save_plan(store, run, plan, snapshot, WORKER_SHA256)
    log = EventLog(run, plan).runner_started()
    for place, trial in enumerate(plan.trials):
        if trial.kind is TrialKind.PREFLIGHT:
            log.started(trial.key).finished(trial.key, [number("accuracy_top1", 0.9)])
        elif failing and place == len(plan.trials) - 1:
            log.started(trial.key).failed(trial.key)
        elif failing and place == len(plan.trials) - 2:
            log.started(trial.key).finished(trial.key, [Sampled("latency_ns", [900] * 20)], invalid=["too-hot"])
        else:
            samples = Sampled("latency_ns", [1000 + 10 * hour + place] * 20)
            log.started(trial.key).finished(trial.key, [samples], power=power_account())
    store.logs.ingest([log.run_finished().arrived()])


def refuse(store: Store, run: str, hour: int) -> None:
    """Record a run that no device was granted to."""
    store.runs.create_run(sample_header(run, SWEEP, MODEL, STARTED_AT + hour * HOUR), MODEL, [PI])
    store.runs.set_device_state(run, "pi-03", DeviceRunState.FAILED, "in use")


def listed(store: Store, limit: int = 10, **wanted: Any) -> list[str]:
    url = store.database.url.render_as_string(hide_password=False)
    return [one.run for one in list_runs(url, limit, RunFilter(**wanted))]


def runs_in(store: Store, view: str) -> set[str]:
    with store.database.read() as connection:
        return set(connection.execute(text(f"SELECT run FROM {view}")).scalars())


def found(store: Store, run: str) -> str | None:
    record = store.runs.find_run(run)
    return None if record is None else record.header.run


def test_a_run_has_the_person_who_started_it(store: Store) -> None:
    measure(store, "mine", 0, NewWords(ANN))
    measure(store, "nobodys", 1)
    found = store.runs.find_run("mine")
    assert found is not None
    assert found.words.started_by == ANN
    url = store.database.url.render_as_string(hide_password=False)
    listed = {one.run: one.words.started_by for one in list_runs(url, 5)}
    assert listed == {"mine": ANN, "nobodys": None}


def test_a_run_keeps_the_words_that_it_begins_with(store: Store) -> None:
    words = NewWords(ANN, "before", "old sink", {"branch": "main", "a": "b=c"}, Commit("c" * 40, dirty=True))
    measure(store, "1-a", 0, words)
    record = store.runs.find_run("before")
    assert record is not None
    kept = record.words
    assert (kept.name, kept.note, kept.noted_by, kept.commit) == ("before", "old sink", ANN, words.commit)
    assert (list(kept.tags.items()), kept.exclusion) == ([("a", "b=c"), ("branch", "main")], None)
    assert kept.noted_at is not None
    url = store.database.url.render_as_string(hide_password=False)
    (summary,) = list_runs(url, 10)
    assert summary.words == kept


def test_notes_and_tags_change_all_at_once_or_not_at_all(store: Store) -> None:
    measure(store, "1-a", 0, NewWords(ANN, tags={"draft": "yes"}))
    store.words.write_note("1-a", "a \x1b[31mred note", "bob@ws2")
    store.words.change_tags("1-a", {"branch": "main"}, ["draft"], ANN)
    with pytest.raises(ConfigError, match="no tag draft"):
        store.words.change_tags("1-a", {"branch": "other"}, ["draft"], ANN)
    record = store.runs.find_run("1-a")
    assert record is not None
    assert (record.words.note, record.words.noted_by) == ("a [31mred note", "bob@ws2")
    assert record.words.tags == {"branch": "main"}
    store.words.change_tags("1-a", {"branch": "other"}, [], ANN)
    assert store.runs.find_run("1-a").words.tags == {"branch": "other"}  # type: ignore[union-attr]


def test_a_name_stands_for_a_run_by_the_rules_of_ids(store: Store) -> None:
    measure(store, "1-a", 0, NewWords(ANN, "before"))
    measure(store, "1-b", 1, NewWords(ANN, "before-2"))
    measure(store, "2-c", 2, NewWords(ANN, "after"))
    measure(store, "3-d", 3, NewWords(ANN, "twice"))
    measure(store, "4-e", 4, NewWords(ANN, "twice"))
    assert [found(store, name) for name in ("before", "before-", "af", "2", "1-a", "%", "")] == [
        *("1-a", "1-b", "2-c", "2-c", "1-a"),
        *(None, None),
    ]
    for ambiguous, words in (
        ("1", r"1-b \(before-2\), 1-a \(before\)"),
        ("bef", "begin with 'bef'"),
        ("twice", "called 'twice'.*4-e.*3-d"),
    ):
        with pytest.raises(ConfigError, match=words):
            store.runs.find_run(ambiguous)


def test_last_is_the_newest_run_that_had_a_device(store: Store) -> None:
    refuse(store, "0-refused", 0)
    assert found(store, "last") is None
    measure(store, "1-a", 1)
    refuse(store, "2-refused", 2)
    store.runs.create_run(sample_header("3-queued", SWEEP, MODEL, STARTED_AT + 3 * HOUR), MODEL, [PI])
    assert found(store, "last") == "1-a"
    store.recovery.quarantine(PI, "loud", ANN)
    granted = store.leases.request_leases([PI], LeaseRequest(ANN, "pid 1", "3-queued", None, 60))["pi-03"]
    assert isinstance(granted, Granted)
    assert found(store, "last") == "1-a", "a device in quarantine is not used, though its lease is granted for a moment"
    store.leases.end_leases([granted.lease.id])
    store.recovery.readmit("pi-03", ANN)
    store.leases.request_leases([PI], LeaseRequest(ANN, "pid 1", "3-queued", None, 60))
    assert found(store, "last") == "3-queued"


def test_an_excluded_run_is_in_no_view_and_its_older_neighbour_is_the_newest_again(store: Store) -> None:
    measure(store, "1-old", 0)
    measure(store, "2-new", 1, failing=True)
    everywhere = {view: runs_in(store, view) for view in VIEWS}
    assert {view for view, runs in everywhere.items() if "2-new" not in runs} == set()
    store.words.exclude("2-new", "the window stood open", ANN)
    assert {view: runs_in(store, view) - {"1-old"} for view in VIEWS} == {view: set() for view in VIEWS}
    assert runs_in(store, "v_latest") == runs_in(store, "v_pareto") == {"1-old"}
    assert (found(store, "last"), store.results.newest_run_with_results()) == ("1-old", "1-old")
    assert store.results.earlier_run(SWEEP.name, "x", None, None) == "1-old"
    assert store.exports.runs_within(Window()) == ["1-old"]
    series = store.series.find_series(variant="fp32")[0].id
    assert [one.run for one in store.series.runs_of(series, "latency_ns", Window())[0]] == ["1-old"]
    assert [one.run for one in store.series.runs_of(series, "latency_ns", Window(run="2-new"))[0]] == ["2-new"]
    assert (listed(store), listed(store, excluded=True)) == (["1-old"], ["2-new", "1-old"])
    exclusion = store.runs.find_run("2-new").words.exclusion  # type: ignore[union-attr]
    assert exclusion is not None
    assert (exclusion.reason, exclusion.who) == ("the window stood open", ANN)
    assert store.words.excluded_runs() == {"2-new"}
    store.words.include("2-new")
    assert {view: runs_in(store, view) for view in VIEWS} == everywhere
    with pytest.raises(ConfigError, match="is not excluded"):
        store.words.include("2-new")


def test_results_that_come_to_an_excluded_run_are_in_no_view(store: Store) -> None:
    measure(store, "1-old", 0)
    store.runs.create_run(sample_header("2-new", SWEEP, MODEL, STARTED_AT + HOUR), MODEL, [PI])
    plan = sample_plan(PI, SWEEP, MODEL)
    save_plan(store, "2-new", plan, save_snapshot(store, PI, Facts(FACTS), STARTED_AT), WORKER_SHA256)
    with pytest.raises(ConfigError, match="under way"):
        store.words.exclude("2-new", "too early", ANN)
    store.runs.set_device_state("2-new", "pi-03", DeviceRunState.STOPPED, "lost")
    store.words.exclude("2-new", "noise", ANN)
    log = EventLog("2-new", plan).runner_started()
    for trial in plan.trials:
        log.started(trial.key).finished(trial.key, [Sampled("latency_ns", [7] * 20)])
    store.logs.ingest([log.run_finished().arrived()])
    assert runs_in(store, "v_latest") == runs_in(store, "v_cell") == {"1-old"}
    store.words.include("2-new")
    assert "2-new" in runs_in(store, "v_latest")


def test_the_level_of_an_excluded_run_is_no_level(store: Store) -> None:
    measure(store, "1-a", 0)
    store.baselines.record(NewBaseline("main", "1-a", BaselineKind.PINNED, ANN, "release"))
    store.words.exclude("1-a", "noise", ANN)
    assert (store.baselines.levels("main"), store.baselines.present_levels()) == ([], [])
    store.words.include("1-a")
    assert [one.run for one in store.baselines.levels("main")] == ["1-a"]


def every_row(store: Store) -> dict[str, int]:
    """Return how many rows each table has."""
    with store.database.read() as connection:
        names = inspect(connection).get_table_names()
        return {
            name: connection.execute(select(func.count()).select_from(Table(name, MetaData()))).scalar_one()
            for name in names
        }


def test_a_deleted_run_leaves_no_row_but_the_record_of_its_deletion(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In portions of three, so that every portion ends in the middle of something."""
    monkeypatch.setattr(run_deletion, "_ATTEMPTS_AT_ONCE", 3)
    monkeypatch.setattr(run_deletion, "_ROWS_AT_ONCE", 3)
    measure(store, "1-old", 0)
    before = every_row(store)
    measure(store, "2-new", 1, NewWords(ANN, "doomed", "why", {"a": "b"}), failing=True)
    store.leases.end_leases([*_granted(store, "2-new")])
    day = STARTED_AT.date()
    store.annotations.annotate(Note(day, day, "odd", ANN, run="2-new"))
    kept = every_row(store)
    deletion = store.words.delete("2-new", "bob@ws2")
    plan = sample_plan(PI, SWEEP, MODEL)
    assert (deletion.run, deletion.name, deletion.devices, deletion.annotations) == ("2-new", "doomed", 1, 1)
    assert (deletion.trials, deletion.attempts) == (len(plan.trials), len(plan.trials))
    assert deletion.measurements == kept["measurement"] - before["measurement"]
    after = every_row(store)
    grown = {name for name, count in after.items() if count != before[name]}
    assert grown <= {"deleted_run", "device_snapshot"}
    assert (found(store, "2-new"), runs_in(store, "v_latest")) == (None, {"1-old"})
    with store.database.read() as connection:
        row = connection.execute(text("SELECT run_id, name, sweep, deleted_by FROM deleted_run")).one()
    assert tuple(row) == ("2-new", "doomed", SWEEP.name, "bob@ws2")


def _granted(store: Store, run: str) -> list[int]:
    granted = store.leases.request_leases([PI], LeaseRequest(ANN, "pid 1", run, None, 60))
    return [one.lease.id for one in granted.values()]  # type: ignore[union-attr]


def test_an_interrupted_deletion_leaves_an_excluded_run_and_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(store, "1-a", 0)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(run_deletion, "_delete_head", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.words.delete("1-a", ANN)
    assert (listed(store), listed(store, excluded=True)) == ([], ["1-a"])
    with pytest.raises(ConfigError, match="half deleted"):
        store.words.include("1-a")
    assert store.words.delete("1-a", "bob@ws2").devices == 1
    assert listed(store, excluded=True) == []
    with store.database.read() as connection:
        assert connection.execute(text("SELECT deleted_by FROM deleted_run")).scalars().all() == [ANN]


def test_a_run_that_others_need_is_not_deleted(store: Store) -> None:
    measure(store, "1-a", 0)
    _granted(store, "1-a")
    with pytest.raises(ConfigError, match="holds a device"):
        store.words.delete("1-a", ANN)
    store.baselines.record(NewBaseline("main", "1-a", BaselineKind.PINNED, ANN, "release"))
    with pytest.raises(ConfigError, match="baseline main"):
        store.words.delete("1-a", ANN)
    assert (listed(store), every_row(store)["deleted_run"]) == (["1-a"], 0)


@pytest.mark.parametrize(
    ("wanted", "runs"),
    [
        ({}, ["4-d", "3-c", "2-b", "1-a"]),
        ({"sweep": "DIGITS-*"}, ["4-d", "3-c", "2-b", "1-a"]),
        ({"sweep": "digits_variants"}, []),
        ({"model": "digit?"}, ["4-d", "3-c", "2-b", "1-a"]),
        ({"model": "digit"}, []),
        ({"device": "nano-*"}, ["4-d"]),
        ({"device": "%"}, []),
        ({"name": "be*"}, ["2-b"]),
        ({"name": "it's"}, []),
        ({"state": RunState.COMPLETE}, ["1-a"]),
        ({"state": RunState.INCOMPLETE}, ["3-c", "2-b"]),
        ({"state": RunState.ACTIVE}, ["4-d"]),
        ({"state": RunState.CANCELLED}, []),
        ({"since": STARTED_AT + HOUR}, ["4-d", "3-c", "2-b"]),
        ({"tags": (("branch", None),)}, ["2-b", "1-a"]),
        ({"tags": (("branch", "main"),)}, ["1-a"]),
        ({"tags": (("branch", "main"), ("x", "y"))}, []),
        ({"state": RunState.INCOMPLETE, "device": "pi-03", "since": STARTED_AT + 2 * HOUR}, ["3-c"]),
    ],
    ids=str,
)
def test_runs_are_found_by_every_condition(store: Store, wanted: dict[str, Any], runs: list[str]) -> None:
    measure(store, "1-a", 0, NewWords(ANN, tags={"branch": "main"}))
    measure(store, "2-b", 1, NewWords(ANN, "before", tags={"branch": "it's"}), failing=True)
    refuse(store, "3-c", 2)
    store.runs.create_run(sample_header("4-d", SWEEP, MODEL, STARTED_AT + 3 * HOUR), MODEL, [PI, NANO])
    assert listed(store, **wanted) == runs
    assert listed(store, 1, **wanted) == runs[:1]


def test_an_allowed_failure_counts_as_complete_beyond_the_limit_too(store: Store) -> None:
    """Which failures are allowed stands in the text of the sweep: such runs are judged one by one."""
    for number_, variant in enumerate(("fp32", "int8", "fp32", "int8", "fp32")):
        run = f"{number_}-run"
        document = ALLOWING.format(variant=variant)
        header = replace(sample_header(run, SWEEP, MODEL, STARTED_AT + number_ * HOUR), sweep_document=document)
        store.runs.create_run(header, MODEL, [PI])
        plan = sample_plan(PI, SWEEP, MODEL)
        save_plan(store, run, plan, save_snapshot(store, PI, Facts(FACTS), STARTED_AT), WORKER_SHA256)
        variants = {job.key: job.variant for job in plan.jobs}
        log = EventLog(run, plan).runner_started()
        for trial in plan.trials:
            if variants[trial.job] == "fp32":
                log.started(trial.key).finished(trial.key, [Sampled("latency_ns", [7] * 20)])
            elif trial.kind is TrialKind.PREFLIGHT:
                log.started(trial.key).failed(trial.key)
            else:
                log.skipped(trial.key)
        store.logs.ingest([log.run_finished().arrived()])
    assert listed(store, 2, state=RunState.COMPLETE) == ["3-run", "1-run"]
    assert listed(store, 2, state=RunState.INCOMPLETE) == ["4-run", "2-run"]
    assert listed(store, 9, state=RunState.INCOMPLETE) == ["4-run", "2-run", "0-run"]
