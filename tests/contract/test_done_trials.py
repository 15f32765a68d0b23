"""A trial is done by one rule, which stands twice: on the device from its log, in the database from its rows.

Logs are made by the device's own rule, over every outcome, restart and end that hypothesis thinks of. The database
then has to say the same of each trial. One difference is meant: a preflight that failed is left out of what is done
while its job has an open trial, so that the device knows that it has to skip that trial. Cancelled attempts are not
drawn: the device never asks again what is done in a run that was cancelled.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from device_worker.protocol.plan import Plan
from device_worker.protocol.vocabulary import FailureKind, RunOutcome
from device_worker.runner.progress import NextStep, Progress
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.values import DevicePlan, TrialKind
from orchestrator.domain.sweep import Retries
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
from tests.effort import examples

pytestmark = pytest.mark.system  # slow: kept out of the quick loop

DEVICE, MODEL = sample_device(), sample_model()
RECORDS_MAX = 40
RUNS = itertools.count()


class Device:
    """A device that works on its plan by its own rule and writes its log; `draw` decides how each attempt ends."""

    def __init__(self, plan: DevicePlan, run: str, draw: Callable[[st.SearchStrategy[str]], str]) -> None:
        self.log = EventLog(run, plan)
        self._plan = Plan.parse(plan.document)
        self.progress = Progress(self._plan, ())
        self._draw = draw
        self.measured: set[str] = set()
        self._told = 0
        self._restart()

    def work(self) -> bool:
        """Take the next step; return whether there was one."""
        step = self.progress.next_step()
        if step is None:
            self.log.run_finished(RunOutcome.COMPLETE)
            return False
        self._take(step)
        self._tell()
        return True

    @property
    def open_trials(self) -> set[str]:
        return {trial.key for trial in self.progress.waiting()}

    def _take(self, step: NextStep) -> None:
        trial = step.trial.key
        if step.lost:
            self.log.failed(trial, FailureKind.RUNNER_DIED, "3 times", step.attempt)
            return
        if step.skip_reason is not None:
            self.log.skipped(trial, step.skip_reason)
            return
        self.log.started(trial, step.attempt)
        outcomes = ["ok", "failed", "lost", *(["invalid"] if step.trial.is_measured else [])]
        match self._draw(st.sampled_from(outcomes)):
            case "ok":
                self.log.finished(trial, [number("load_ns", 5)], step.attempt)
                self.measured.add(trial)
            case "failed":
                self.log.failed(trial, attempt=step.attempt)
            case "invalid":
                self.log.finished(trial, [number("load_ns", 5)], step.attempt, invalid=["too-hot"])
            case "lost":
                self._restart()

    def _restart(self) -> None:
        self.log.runner_started()
        self._tell()

    def _tell(self) -> None:
        for line in self.log.lines[self._told :]:
            self.progress.apply(json.loads(line.split(b" ", 2)[2]))
        self._told = len(self.log.lines)


def planned(store: Store, retries: Retries) -> tuple[str, DevicePlan]:
    run = f"run-{next(RUNS)}"
    sweep = sample_sweep(trials=2, retries=retries)
    store.runs.create_run(sample_header(run, sweep, MODEL), MODEL, [DEVICE])
    plan = sample_plan(DEVICE, sweep, MODEL)
    save_plan(store, run, plan, save_snapshot(store, DEVICE, Facts(FACTS), STARTED_AT), WORKER_SHA256)
    return run, plan


@pytest.mark.usefixtures("store")
@settings(max_examples=examples(16), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_device_and_database_agree_on_which_trials_are_done(kept_store: Store, data: st.DataObject) -> None:
    retries = Retries(failed=data.draw(st.integers(0, 2)), invalid=data.draw(st.integers(0, 2)))
    run, plan = planned(kept_store, retries)
    device = Device(plan, run, data.draw)
    stored, goes_on = 0, True
    while goes_on and device.log.last_seq < RECORDS_MAX:
        goes_on = device.work()
        kept_store.logs.ingest([device.log.arrived(stored + 1)])
        stored = device.log.last_seq
        agree(device, plan, kept_store, run)
    event(f"{len(plan.trials) - len(device.open_trials)} of {len(plan.trials)} done")


def agree(device: Device, plan: DevicePlan, store: Store, run: str) -> None:
    """Compare what device and database say now."""
    done = {trial.key for trial in plan.trials} - device.open_trials
    unfinished_jobs = {trial.job for trial in plan.trials if trial.key in device.open_trials}
    rejections = {
        trial.key
        for trial in plan.trials
        if trial.kind is TrialKind.PREFLIGHT and trial.key in done - device.measured and trial.job in unfinished_jobs
    }
    told = store.progress.done_trials(run, DEVICE.name, retry_failed=False)
    assert set(told) == done - rejections
    assert set(store.progress.done_trials(run, DEVICE.name, retry_failed=True)) == device.measured

    # a device that lost its log and is told what is done goes on with exactly the rest
    spent = store.progress.spent_retries(run, DEVICE.name, told)
    counts = {one.trial: (one.failed, one.invalid) for one in spent}
    again = Progress(Plan.parse(plan.document), told, [counts])
    assert {trial.key for trial in again.waiting()} == device.open_trials | rejections
    # … and grants no retry a second time. A preflight proves its cell anew.
    for trial in plan.trials:
        if trial.kind is TrialKind.MEASURE and trial.key in device.open_trials:
            known = device.progress.attempts_of(trial.key)
            assert again.attempts_of(trial.key) == known == counts.get(trial.key, (0, 0))
