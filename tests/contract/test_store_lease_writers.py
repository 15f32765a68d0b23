"""A writer whose lease has ended is refused: whoever holds the device now stores its records once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.domain.errors import LeaseLost
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.values import PreparedPlan
from orchestrator.domain.run import DeviceRunState
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    WORKER_SHA256,
    EventLog,
    sample_plan,
    save_plan,
    save_snapshot,
)
from tests.contract.leases import (
    ANN,
    MODEL,
    NANO,
    PI,
    RUN,
    SWEEP,
    granted,
)


def log_of(store: Store) -> EventLog:
    plan = sample_plan(PI, SWEEP, MODEL)
    snapshot = save_snapshot(store, PI, Facts(FACTS), STARTED_AT)
    save_plan(store, RUN, plan, snapshot, WORKER_SHA256)
    return EventLog(RUN, plan).runner_started()


def test_records_under_an_ended_lease_are_refused_and_the_new_holder_stores_them_once(fleet: Store) -> None:
    log = log_of(fleet)
    old = granted(fleet, ANN).lease
    new = granted(fleet, replace(ANN, holder="cy@ws3", controller="pid 300")).lease
    with pytest.raises(LeaseLost, match=r"pi-03: run run-1 was taken over by cy@ws3 \(pid 300\) at"):
        fleet.logs.ingest([log.arrived()], {"pi-03": old.id})
    assert fleet.logs.offset(RUN, "pi-03").last_seq == 0
    (stored,) = fleet.logs.ingest([log.arrived()], {"pi-03": new.id})
    assert stored.offset.last_seq == log.last_seq


def test_records_of_a_run_that_somebody_holds_are_refused_without_a_lease(fleet: Store) -> None:
    log = log_of(fleet)
    granted(fleet, ANN)
    with pytest.raises(LeaseLost, match="taken over by ann@ws1"):
        fleet.logs.ingest([log.arrived()], {})


def test_states_under_an_ended_lease_are_refused(fleet: Store) -> None:
    old = granted(fleet, ANN).lease
    granted(fleet, replace(ANN, controller="pid 300"))
    with pytest.raises(LeaseLost, match=r"taken over by ann@ws1 \(pid 300\)"):
        fleet.runs.set_device_state(RUN, "pi-03", DeviceRunState.FAILED, "late", leases={"pi-03": old.id})
    assert fleet.runs.standings(RUN, ["pi-03"])["pi-03"].state is DeviceRunState.PLANNED


def test_plans_under_an_ended_lease_are_refused_and_the_others_are_kept(fleet: Store) -> None:
    old = granted(fleet, ANN).lease
    nano = granted(fleet, ANN, NANO).lease
    granted(fleet, replace(ANN, controller="pid 300"))
    plans = [
        PreparedPlan(sample_plan(one, SWEEP, MODEL), save_snapshot(fleet, one, Facts(FACTS), STARTED_AT), WORKER_SHA256)
        for one in (PI, NANO)
    ]
    refused = fleet.plans.save_plans(RUN, plans, {"pi-03": old.id, "nano-01": nano.id})
    assert isinstance(refused["pi-03"], LeaseLost)
    assert list(refused) == ["pi-03"]
    assert fleet.plans.plan_document(RUN, "pi-03") is None
    assert fleet.plans.plan_document(RUN, "nano-01") is not None
