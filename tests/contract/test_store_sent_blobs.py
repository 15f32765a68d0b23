"""What earlier runs have sent to a device, and how long their trials have taken."""

from __future__ import annotations

from orchestrator.domain.run import RunEffort
from orchestrator.store.store import Store
from tests.contract.planned_runs import plan_run


def test_a_plan_counts_as_sent_once_its_runner_wrote_a_log(store: Store) -> None:
    planned = plan_run(store)
    assert store.plans.sent_blobs(["pi-03", "nano-01"]) == {}

    store.logs.ingest([planned.log().started(planned.preflights[0]).arrived()])
    assert store.plans.sent_blobs(["pi-03", "nano-01"]) == {"pi-03": {blob.sha256 for blob in planned.plan.blobs}}
    assert store.plans.sent_blobs([]) == {}


def test_the_effort_of_a_run_is_the_time_of_its_trials_and_the_commands_that_measured(store: Store) -> None:
    planned = plan_run(store)
    assert store.progress.effort("run") == RunEffort(None, 0)

    log = planned.log()
    for trial in planned.preflights:
        log.started(trial).finished(trial, [])
    store.logs.ingest([log.arrived()])
    assert store.progress.effort("run").measuring_s == len(planned.preflights) * 1.5
