"""A run may get further trials: on record at once, and followed by the logs of the plan before and of the new one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.domain.errors import CorruptLog, StoreError
from orchestrator.domain.plan.extend import ExtendedPlan, extend_plan, extensions
from orchestrator.domain.plan.values import DevicePlan
from orchestrator.domain.run import DeviceRunState, RunState, TrialState
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import EventLog
from tests.contract.planned_runs import LATENCIES, Planned, plan_run, states


def extended(planned: Planned, count: int = 2) -> ExtendedPlan:
    jobs = [job.key for job in planned.plan.jobs]
    return extend_plan(planned.plan.document, "pi-03", dict.fromkeys(jobs, count), 1)


def as_plan(planned: Planned, more: ExtendedPlan) -> DevicePlan:
    trials = (*planned.plan.trials, *more.added)
    return replace(planned.plan, trials=trials, document=more.document, sha256=more.sha256)


def measured(log: EventLog, trials: list[str]) -> EventLog:
    for trial in trials:
        log.started(trial).finished(trial, [LATENCIES])
    return log


def whole(planned: Planned) -> EventLog:
    return measured(planned.log(), [*planned.preflights, *planned.measures]).run_finished()


def device_state(store: Store) -> DeviceRunState:
    record = store.runs.find_run("run")
    assert record is not None
    return next(device.state for device in record.devices if device.device == "pi-03")


def test_added_trials_are_planned_and_a_complete_device_lacks_them(store: Store) -> None:
    planned = plan_run(store)
    store.logs.ingest([whole(planned).arrived()])
    before = states(store)[TrialState.MEASURED]
    more = extended(planned)
    store.plans.extend_plans("run", [more])
    assert store.plans.plan_document("run", "pi-03") == more.document
    assert states(store) == {TrialState.MEASURED: before, TrialState.PLANNED: len(more.added)}
    assert device_state(store) is DeviceRunState.STOPPED
    assert {trial.trial for trial in store.progress.missing_trials("run") if trial.device == "pi-03"} == {
        trial.key for trial in more.added
    }
    done = store.progress.done_trials("run", "pi-03", retry_failed=False)
    assert set(done) == {trial.key for trial in planned.plan.trials}


def test_a_new_log_of_the_extended_plan_completes_the_device(store: Store) -> None:
    planned = plan_run(store)
    store.logs.ingest([whole(planned).arrived()])
    more = extended(planned)
    store.plans.extend_plans("run", [more])
    log = EventLog("run", as_plan(planned, more), "log-2")
    store.logs.ingest([measured(log, [trial.key for trial in more.added]).run_finished().arrived()])
    assert states(store) == {TrialState.MEASURED: len(planned.measures) + len(more.added)}
    assert device_state(store) is DeviceRunState.COMPLETE


def test_a_log_that_began_with_the_plan_before_is_read_on(store: Store) -> None:
    """Nothing of the log had arrived when the run was extended."""
    planned = plan_run(store)
    more = extended(planned)
    store.plans.extend_plans("run", [more])
    store.logs.ingest([whole(planned).arrived()])
    assert states(store)[TrialState.MEASURED] == len(planned.measures)


def test_a_log_of_a_plan_that_was_never_extended_is_refused(store: Store) -> None:
    planned = plan_run(store)
    store.plans.extend_plans("run", [extended(planned)])
    stranger = EventLog("run", replace(planned.plan, sha256="0" * 64), "log-1")
    with pytest.raises(CorruptLog, match="it follows plan 000000000000"):
        store.logs.ingest([stranger.arrived()])


def test_of_two_commands_that_extend_the_same_plan_one_is_refused_whole(store: Store) -> None:
    planned = plan_run(store)
    other = extend_plan(planned.other.document, "nano-01", {planned.other.jobs[0].key: 1}, 1)
    store.plans.extend_plans("run", [extended(planned, 1)])
    with pytest.raises(StoreError, match="another command has changed the plan"):
        store.plans.extend_plans("run", [other, extended(planned, 2)])
    kept, untouched = (store.plans.plan_document("run", name) for name in ("pi-03", "nano-01"))
    assert kept is not None
    assert untouched == planned.other.document, "nothing of the refused command is recorded"
    assert len(extensions(kept)[0].added) == len(planned.plan.jobs)


def test_a_run_with_added_trials_is_not_complete(store: Store) -> None:
    planned = plan_run(store)
    logs = [whole(planned), measured(EventLog("run", planned.other, "log-n"), [])]
    for trial in planned.other.trials:
        logs[1].started(trial.key).finished(trial.key, [LATENCIES])
    store.logs.ingest([logs[0].arrived(), logs[1].run_finished().arrived()])
    record = store.runs.find_run("run")
    assert record is not None
    assert record.state is RunState.COMPLETE
    store.plans.extend_plans("run", [extended(planned)])
    record = store.runs.find_run("run")
    assert record is not None
    assert record.state is RunState.INCOMPLETE


def test_the_jobs_that_their_preflight_rejected_are_known(store: Store) -> None:
    planned = plan_run(store)
    log = planned.log().started(planned.preflights[0]).failed(planned.preflights[0])
    store.logs.ingest([log.arrived()])
    assert store.progress.rejected_jobs("run") == {"pi-03": {planned.plan.jobs[0].key}}
