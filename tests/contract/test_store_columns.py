"""Every documented column has a writer: a whole life of two runs leaves a value in each of them."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from datetime import date
from itertools import product

from sqlalchemy import Boolean, Column, ColumnElement, func, select, update

from device_worker.protocol.vocabulary import FailureKind, Outcome, RunOutcome
from orchestrator.domain.annotation import Note
from orchestrator.domain.baseline import BaselineKind, NewBaseline
from orchestrator.domain.facts import Facts
from orchestrator.domain.joined_power import JoinedPower
from orchestrator.domain.lease import LeaseRequest
from orchestrator.domain.night import NightRun, NightStage
from orchestrator.domain.plan.values import Excluded, TrialKind
from orchestrator.domain.recovery import Rung
from orchestrator.domain.regression import Actor, Direction, Figures, Move, RegressionState, Suspicion
from orchestrator.domain.run import DeviceRunState
from orchestrator.domain.run_words import Commit, NewWords
from orchestrator.domain.schedule import Firing, Moments, NewSchedule, Overlap, Rhythm
from orchestrator.domain.submission import NewSubmission, ParcelFile, SubmissionState
from orchestrator.domain.window import Window
from orchestrator.store.ingest import events
from orchestrator.store.ingest.attempt_rows import PART_WRITERS
from orchestrator.store.schema import tables
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    WORKER_SHA256,
    EventLog,
    Sampled,
    absent,
    input_results,
    number,
    outputs,
    power_account,
    power_figure,
    power_trace,
    profile,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
    save_snapshot,
)

PI, NANO = sample_device("pi-03"), sample_device("nano-01")
MODEL, SWEEP = replace(sample_model(), license="Apache-2.0"), sample_sweep(variants=("fp32", "fp16"))
SAMPLES = Sampled("latency_ns", [40_000 + number for number in range(3_000)])
INPUT_RANGE = {
    **dict.fromkeys(("low", "scale", "saturated_ratio", "data_low", "data_high"), 0.0),
    "name": "pixels",
    "dtype": "int8",
    "high": 1.0,
}
IN_A_COLUMN_OF_ATTEMPT = {
    "ok",
    "attempt",
    "failure",
    "duration_ns",
    "conditions",
    "conditions_before",
    "invalid",
    "exclusive",
    "runtime",
    "window",
}
NAMES_THE_TRIAL = {"trial", "job"}


def live(store: Store) -> None:
    """Let everything happen to two runs that a database keeps."""
    ann = LeaseRequest("ann@ws1", "pid 100", "run", None, 60.0)
    queue = LeaseRequest("bob@ws2", "pid 200", "other", None, 60.0, queues=True)
    words = NewWords("ann@ws1", "before", "old sink", {"branch": "main"}, Commit("c" * 40, dirty=True))
    for run in ("run", "other", "gone"):
        store.runs.create_run(sample_header(run, SWEEP, MODEL), MODEL, [PI, NANO], words)
    for run, device in product(("gone", "other"), ("pi-03", "nano-01")):
        store.runs.set_device_state(run, device, DeviceRunState.FAILED, "no route")
    store.words.delete("gone", "bob@ws2")
    store.words.exclude("other", "the window stood open", "ann@ws1")
    held = store.leases.request_leases([PI], ann)
    store.leases.leave_leases({one.lease.id: 60.0 for one in held.values() if hasattr(one, "lease")})
    store.leases.request_leases([replace(PI, exclusive=False)], queue)
    reserved = store.leases.request_leases([NANO], LeaseRequest("ann@ws1", "pid 101", None, "bisecting", 60.0))
    measure(store)
    store.runs.set_device_state("run", "nano-01", DeviceRunState.FAILED, "no route", "is it on?")
    store.recovery.end_rung(store.recovery.begin_rung("run", "nano-01", Rung.REBOOT, "no answer"), succeeded=False)
    store.recovery.quarantine(NANO, "it did not come back", "ann@ws1", "run")
    store.recovery.readmit("nano-01", "bob@ws2")
    store.leases.end_leases([granted.lease.id for granted in reserved.values() if hasattr(granted, "lease")])
    store.leases.database_id()
    store.retention.prune("other", "ann@ws1")
    judge(store)
    queue_up(store, words)


def queue_up(store: Store, words: NewWords) -> None:
    """Let a daemon carry out a submission that a person wants ended."""
    content = b"sweep: one"
    file = ParcelFile("sweep.yaml", hashlib.sha256(content).hexdigest(), len(content))
    store.vault.begin_blob(file.sha256, file.size)
    store.vault.put_chunk(file.sha256, 0, content)
    store.vault.finish_blob(file.sha256)
    new = NewSubmission("queued", "ann@ws1", SWEEP.name, "/lab/one.yaml", "all", 1, (file,), STARTED_AT, words)
    new = replace(new, device_s={"pi-03": 4.5}, settings={"missing": True}, window="nightly")
    submitted = store.submissions.submit(new)
    window = Window("nightly", "22:00-06:00", "UTC")
    daemon = store.daemons.begin_daemon("lab@ws3", "pid 300", ["pi-03"], 60.0, [window])
    assert store.daemons.claim(submitted.id, submitted.claim, daemon) is not None
    store.daemons.end_daemon(daemon)
    daemon = store.daemons.begin_daemon("lab@ws3", "pid 301", ["pi-03"], 60.0, [window])
    claim = store.daemons.claim(submitted.id, submitted.claim + 1, daemon)
    assert claim is not None
    store.daemons.give_way(claim, "urgent")
    store.submissions.cancel(submitted.id, "bob@ws2")
    store.daemons.finish(claim, SubmissionState.FAILED, "no such device", "is it in the inventory?")
    store.daemons.end_daemon(daemon)
    fire(store, replace(new.words, name="queued"), file)


def fire(store: Store, words: NewWords, file: ParcelFile) -> None:
    """Let a schedule of a person fire once."""
    every_minute = Rhythm("* * * * *", "UTC", 5, Overlap.QUEUE)
    wanted = NewSchedule("nights", "ann@ws1", every_minute, SWEEP.name, "/lab/one.yaml", "all", 1, (file,), words)
    wanted = replace(wanted, device_s={"pi-03": 4.5}, settings={"missing": True}, window="nightly")
    made = store.schedules.add_schedule(wanted)
    with store.database.write() as connection:
        # The moment has come, without a minute of waiting for it.
        connection.execute(update(tables.schedule).values(fires_at=tables.schedule.c.added_at))
    assert store.schedules.fire(Firing(made.id, made.edition, Moments(made.due_at, made.fires_at), "fired")) == "fired"
    store.schedules.pause_schedule("nights")


def judge(store: Store) -> None:
    """Let two nights confirm a regression, and people decide on it."""
    series = store.results.cell_results("run", "latency_ns")[0].series
    assert series is not None
    for night in ("night-1", "night-2"):
        store.nights.begin_night(night, "lab")
    store.nights.add_run("night-1", NightRun(NightStage.CONFIRMATION, SWEEP.name, "run", 1))
    store.nights.end_night("night-1", 1, {"cells": 1})
    figures = Figures(1.05, 1.04, 1.06, 10, 10)
    suspicion = Suspicion("lab", "night-1", series, "latency_ns", Direction.ROSE, "run", "other", figures)
    found = store.regressions.suspect(suspicion, "ann@ws1", "first look")
    confirm = Move(RegressionState.CONFIRMED, Actor.NIGHT, "ann@ws1", night="night-1", figures=figures)
    store.regressions.move(found.id, confirm)
    store.regressions.move(found.id, Move(RegressionState.ACCEPTED, Actor.PERSON, "bob@ws2", "wanted"))
    for run in ("other", "run"):  # the second has the accepted cell, and takes the place of its level
        store.baselines.record(NewBaseline("lab", run, BaselineKind.PINNED, "ann@ws1", "a release"))
    day = date(2026, 3, 1)
    store.annotations.annotate(Note(day, day, "fan replaced", "ann@ws1", device="pi-03"))
    store.annotations.annotate(Note(day, day, "odd", "ann@ws1", series=series, run="run"))


def measure(store: Store) -> None:
    """Take one device through its plan, with everything that trials can bring."""
    plan = replace(sample_plan(PI, SWEEP, MODEL), excluded=(Excluded("int8 · tflite", "no such file"),))
    facts = Facts({**FACTS, "boot_id": "boot-1"})
    save_plan(store, "run", plan, save_snapshot(store, PI, facts, STARTED_AT), WORKER_SHA256)
    log = EventLog("run", plan).runner_started()
    good, bad = plan.jobs
    for trial in plan.trials:
        if trial.job == bad.key and trial.kind is TrialKind.MEASURE:
            log.skipped(trial.key)
        elif trial.kind is TrialKind.MEASURE:
            log.started(trial.key).finished(
                trial.key,
                [SAMPLES],
                invalid=["too-hot"],
                outputs={**outputs([[0.1]]), "count": 0, "data": "", "reason": "strings"},
            )
            log.started(trial.key, 2).finished(
                trial.key,
                [SAMPLES, power_figure("power_mean_w", 4.5), absent("allocate_ns", "in one step")],
                attempt=2,
                window={"begin_mono_ns": 1_000, "end_mono_ns": 2_000},
                power=power_account(
                    idle_w=2.5,
                    idle_u95_w=0.1,
                    idle_before_w=2.5,
                    idle_after_w=2.5,
                    idle_windows={"before": [1, 2], "after": [3, 4]},
                    invoked_ratio=0.98,
                    accuracy_ratio=0.05,
                    reason="none",
                    energy_reason="idle",
                    caution="means",
                    trace=power_trace([0, 5]),
                ),
            )
        elif trial.job == good.key:
            log.started(trial.key).finished(
                trial.key,
                [number("accuracy_top1", 1.0)],
                outputs={
                    **outputs([[0.1, 0.9]]),
                    "layout": [{"name": "scores", "shape": [1, 2]}],
                    "input_ranges": [INPUT_RANGE],
                },
                input_results=input_results([True]),
                profile=profile(("Conv", "c1", 5.0), placed_on="CPU"),
            )
        else:
            failure = {"kind": FailureKind.SIGNAL, "message": "killed", "signal": "SIGSEGV", "exit_code": 1}
            failure["stderr_tail"] = "Traceback"
            log.started(trial.key).finished(trial.key, outcome=Outcome.FAILED, failure=failure)
    store.logs.ingest([log.run_finished(RunOutcome.COMPLETE).arrived()])
    attempt = store.metered.metered_attempts("run", "pi-03")[0].attempt
    clocks = {"source": "shelly plug-3", "kind": "power-gauge", "clock_offset_ns": 5, "clock_uncertainty_ns": 1}
    store.metered.join("run", "pi-03", [JoinedPower(attempt, {"power_mean_w": 4.5}, clocks, power_trace([5]))])


def is_written(column: Column[object]) -> ColumnElement[int]:
    """Count the rows in which the column says more than it does by itself."""
    default = getattr(column.server_default, "arg", None)
    by_itself = default if isinstance(column.type, Boolean) else int(str(default or 0))
    said = column if default is None else func.nullif(column, by_itself)
    return func.count(said).label(column.name)


def test_every_documented_column_is_written(store: Store) -> None:
    live(store)
    with store.database.read() as connection:
        counts = [
            (f"{table.name}.{name}", count)
            for table in tables.metadata.sorted_tables
            for name, count in connection.execute(select(*map(is_written, table.columns))).one()._mapping.items()
        ]
    assert [name for name, count in counts if not count] == []


def test_every_part_of_a_finished_attempt_has_a_place() -> None:
    """What `trial-finished` is read for is written: into columns of `attempt`, or by a writer of its own."""
    parts = {field.name for field in fields(events.TrialFinished)}
    assert parts == IN_A_COLUMN_OF_ATTEMPT | NAMES_THE_TRIAL | set(PART_WRITERS)
