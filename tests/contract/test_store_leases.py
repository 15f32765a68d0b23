"""What every database must keep of leases: one holder at a time, a fair queue, tokens that grow, writers refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from orchestrator.domain.device import Device
from orchestrator.domain.errors import LeaseLost
from orchestrator.domain.facts import Facts
from orchestrator.domain.lease import Busy, Claim, Granted
from orchestrator.domain.plan import PreparedPlan
from orchestrator.domain.run import DeviceRunState
from orchestrator.store import tables
from orchestrator.store.base import Leases
from orchestrator.store.store import Store, open_store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    WORKER_SHA256,
    EventLog,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
    save_snapshot,
)
from tests.databases import Databases

PI, NANO = sample_device("pi-03"), sample_device("nano-01")
MODEL, SWEEP = sample_model(), sample_sweep()
RUN, OTHER_RUN = "run-1", "run-2"
ANN = Claim("ann@ws1", "pid 100", RUN, None, 60.0)
BOB = Claim("bob@ws2", "pid 200", OTHER_RUN, None, 60.0)
RESERVATION = Claim("ann@ws1", "pid 101", None, "bisecting", 3600.0)


@pytest.fixture
def leases(store: Store) -> Store:
    """A store with two runs of two devices."""
    for run in (RUN, OTHER_RUN):
        store.create_run(sample_header(run, SWEEP, MODEL), MODEL, [PI, NANO])
    return store


def granted(store: Leases, claim: Claim, device: Device = PI, waiting: int | None = None) -> Granted:
    answer = store.claim_leases([device], claim, {} if waiting is None else {device.name: waiting})[device.name]
    assert isinstance(answer, Granted), answer
    return answer


def busy(store: Leases, claim: Claim, device: Device = PI, waiting: int | None = None) -> Busy:
    answer = store.claim_leases([device], claim, {} if waiting is None else {device.name: waiting})[device.name]
    assert isinstance(answer, Busy), answer
    return answer


def place(store: Leases, claim: Claim) -> int:
    waiting = busy(store, replace(claim, queues=True)).waiting
    assert waiting is not None
    return waiting


def open_leases(store: Store) -> Sequence[str]:
    with store.database.read() as connection:
        return (
            connection.execute(select(tables.lease.c.holder).where(tables.lease.c.ended_at.is_(None))).scalars().all()
        )


def test_a_free_device_is_granted_and_nobody_else_gets_it(leases: Store) -> None:
    first = granted(leases, ANN)
    refused = busy(leases, BOB)
    assert [lease.id for lease in refused.held] == [first.lease.id]
    assert refused.sentence.startswith("in use by run run-1 of ann@ws1 since ")
    assert refused.waiting is None
    assert open_leases(leases) == ["ann@ws1"]


def test_each_device_is_claimed_for_itself_in_one_go(leases: Store) -> None:
    granted(leases, ANN, NANO)
    answers = leases.claim_leases([PI, NANO], BOB)
    assert isinstance(answers["pi-03"], Granted)
    assert isinstance(answers["nano-01"], Busy)


def test_a_device_that_the_database_never_saw_can_be_reserved(store: Store) -> None:
    assert granted(store, RESERVATION).lease.token == 1


def test_tokens_of_a_device_grow_with_each_grant(leases: Store) -> None:
    tokens = []
    for claim in (ANN, BOB, ANN):
        lease = granted(leases, claim).lease
        tokens.append(lease.token)
        leases.end_leases([lease.id])
    assert tokens == [1, 2, 3]


def test_an_expired_lease_gives_way_and_its_holder_hears_to_whom(leases: Store) -> None:
    late = granted(leases, replace(ANN, lasts_s=0)).lease
    granted(leases, BOB)
    (lost,) = leases.renew_leases({late.id: 60.0})
    assert lost.device == "pi-03"
    assert "the lease of run run-1 ended" in lost.message
    assert "in use by run run-2 of bob@ws2" in lost.message


def test_an_expired_lease_that_nobody_wanted_is_renewed(leases: Store) -> None:
    late = granted(leases, replace(ANN, lasts_s=0)).lease
    assert leases.renew_leases({late.id: 60.0}) == []
    assert busy(leases, BOB).held[0].id == late.id


def test_who_had_the_device_meanwhile_and_has_given_it_back_is_not_said_to_have_it(leases: Store) -> None:
    late = granted(leases, replace(ANN, lasts_s=0)).lease
    bobs = granted(leases, BOB).lease
    leases.end_leases([bobs.id])
    (lost,) = leases.renew_leases({late.id: 60.0})
    assert "the lease of run run-1 ended" in lost.message
    assert "run-2" not in lost.message
    assert lost.hint == "benchfleet runs resume run-1"


def test_who_has_the_device_now_is_named_rather_than_who_had_it_meanwhile(leases: Store) -> None:
    late = granted(leases, replace(ANN, lasts_s=0)).lease
    leases.end_leases([granted(leases, replace(BOB, run=None, reason="x")).lease.id])
    granted(leases, BOB)
    (lost,) = leases.renew_leases({late.id: 60.0})
    assert "the device is in use by run run-2 of bob@ws2" in lost.message


def test_a_take_over_that_is_over_is_told_as_such(leases: Store) -> None:
    first = granted(leases, ANN).lease
    again = granted(leases, replace(ANN, holder="cy@ws3", controller="pid 300")).lease
    leases.end_leases([again.id])
    (lost,) = leases.renew_leases({first.id: 60.0})
    assert "run run-1 was taken over by cy@ws3 (pid 300) at " in lost.message
    assert lost.hint == "it was given back there since: benchfleet runs show run-1"


def test_the_same_run_is_taken_over_at_once_with_a_new_token(leases: Store) -> None:
    first = granted(leases, ANN).lease
    again = granted(leases, replace(ANN, holder="cy@ws3", controller="pid 300"))
    assert again.taken_over == (first,)
    assert (first.token, again.lease.token) == (1, 2)
    (lost,) = leases.renew_leases({first.id: 60.0})
    assert "run run-1 was taken over by cy@ws3 (pid 300) at " in lost.message
    assert lost.exit_code == 3


def test_what_a_run_has_not_given_back_is_known_by_the_run_expired_or_not(leases: Store) -> None:
    granted(leases, replace(ANN, lasts_s=0))
    given_back = granted(leases, ANN, NANO).lease
    leases.end_leases([given_back.id])
    assert leases.unreleased(RUN) == {"pi-03"}
    assert leases.unreleased(OTHER_RUN) == frozenset()
    granted(leases, ANN)
    place(leases, BOB)
    assert leases.unreleased(OTHER_RUN) == frozenset(), "whoever waits has nothing to give back"


def test_the_queue_is_served_in_the_order_of_its_places(leases: Store) -> None:
    held = granted(leases, ANN).lease
    third = replace(BOB, holder="cy@ws3")
    bob, cy = place(leases, BOB), place(leases, third)
    assert busy(leases, replace(third, queues=True), waiting=cy).ahead == 1
    leases.end_leases([held.id])
    assert busy(leases, replace(third, queues=True), waiting=cy).ahead == 1
    assert busy(leases, ANN).sentence == "2 wait for it already"
    assert granted(leases, replace(BOB, queues=True), waiting=bob).lease.id == bob


def test_a_waiter_that_died_drops_out(leases: Store) -> None:
    held = granted(leases, ANN).lease
    place(leases, replace(BOB, place_s=0))
    alive = place(leases, replace(BOB, holder="cy@ws3"))
    leases.end_leases([held.id])
    assert granted(leases, replace(BOB, holder="cy@ws3", queues=True), waiting=alive).lease.holder == "cy@ws3"


def test_a_place_that_was_found_expired_is_taken_anew_at_the_end(leases: Store) -> None:
    granted(leases, ANN)
    late = place(leases, replace(BOB, place_s=0))
    other = place(leases, replace(BOB, holder="cy@ws3"))
    again = busy(leases, replace(BOB, queues=True), waiting=late)
    assert again.ahead == 1
    assert again.waiting is not None
    assert again.waiting > other


def test_a_place_that_is_given_back_leaves_no_row_behind(leases: Store) -> None:
    granted(leases, ANN)
    leases.end_leases([place(leases, BOB)])
    assert open_leases(leases) == ["ann@ws1"]
    assert leases.holdings(["pi-03"])["pi-03"].queue == 0


def test_a_reservation_admits_runs_of_its_holder_before_the_queue_and_no_others(leases: Store) -> None:
    granted(leases, RESERVATION)
    place(leases, BOB)
    refused = busy(leases, BOB)
    assert refused.sentence.startswith("reserved by ann@ws1 until ")
    assert refused.sentence.endswith(" UTC (bisecting)")
    granted(leases, ANN)
    assert [lease.holder for lease in leases.holdings(["pi-03"])["pi-03"].held] == ["ann@ws1", "ann@ws1"]
    assert busy(leases, replace(ANN, run=OTHER_RUN)).held[0].run == RUN


def test_a_reservation_admits_whoever_names_it(leases: Store) -> None:
    reserved = granted(leases, RESERVATION).lease
    assert granted(leases, replace(BOB, reservation=reserved.id)).lease.holder == "bob@ws2"


def test_a_reservation_ends_by_itself(leases: Store) -> None:
    granted(leases, replace(RESERVATION, lasts_s=0))
    granted(leases, BOB)
    assert open_leases(leases) == ["bob@ws2"]


def test_a_device_is_reserved_by_one_at_a_time(leases: Store) -> None:
    granted(leases, RESERVATION)
    assert busy(leases, RESERVATION).held[0].is_reservation
    assert busy(leases, replace(RESERVATION, holder="bob@ws2")).held[0].holder == "ann@ws1"


def test_a_run_is_collected_beside_a_lease_of_somebody_else(leases: Store) -> None:
    granted(leases, BOB)
    beside = granted(leases, replace(ANN, collects=True)).lease
    assert not beside.exclusive
    assert [lease.holder for lease in leases.holdings(["pi-03"])["pi-03"].held] == ["bob@ws2"]


def test_holdings_name_holder_and_queue(leases: Store) -> None:
    granted(leases, RESERVATION)
    place(leases, BOB)
    found = leases.holdings(["pi-03", "nano-01"])
    assert list(found) == ["pi-03"]
    assert found["pi-03"].held[0].reason == "bisecting"
    assert found["pi-03"].queue == 1


def test_the_engine_itself_refuses_a_second_holder(leases: Store) -> None:
    granted(leases, ANN)
    with leases.database.read() as connection:
        row = dict(connection.execute(select(tables.lease)).mappings().one())
    row.pop("id")
    with pytest.raises(IntegrityError) as refused, leases.database._engine.begin() as connection:
        connection.execute(insert(tables.lease), {**row, "run_id": OTHER_RUN})
    assert "uq_lease_run" in str(refused.value) or "lease.device_id" in str(refused.value)


def test_a_database_is_known_by_one_name(databases: Databases) -> None:
    url = databases.migrated()
    with open_store(url) as first, open_store(url) as second, open_store(databases.migrated()) as other:
        assert first.database_id() == second.database_id() == first.database_id()
        assert other.database_id() != first.database_id()


def log_of(store: Store) -> EventLog:
    plan = sample_plan(PI, SWEEP, MODEL)
    snapshot = save_snapshot(store, PI, Facts(FACTS), STARTED_AT)
    save_plan(store, RUN, plan, snapshot, WORKER_SHA256)
    return EventLog(RUN, plan).runner_started()


def test_records_under_an_ended_lease_are_refused_and_the_new_holder_stores_them_once(leases: Store) -> None:
    log = log_of(leases)
    old = granted(leases, ANN).lease
    new = granted(leases, replace(ANN, holder="cy@ws3", controller="pid 300")).lease
    with pytest.raises(LeaseLost, match=r"pi-03: run run-1 was taken over by cy@ws3 \(pid 300\) at"):
        leases.ingest([log.arrived()], {"pi-03": old.id})
    assert leases.offset(RUN, "pi-03").last_seq == 0
    (stored,) = leases.ingest([log.arrived()], {"pi-03": new.id})
    assert stored.offset.last_seq == log.last_seq


def test_records_of_a_run_that_somebody_holds_are_refused_without_a_lease(leases: Store) -> None:
    log = log_of(leases)
    granted(leases, ANN)
    with pytest.raises(LeaseLost, match="taken over by ann@ws1"):
        leases.ingest([log.arrived()], {})


def test_states_under_an_ended_lease_are_refused(leases: Store) -> None:
    old = granted(leases, ANN).lease
    granted(leases, replace(ANN, controller="pid 300"))
    with pytest.raises(LeaseLost, match=r"taken over by ann@ws1 \(pid 300\)"):
        leases.set_device_state(RUN, "pi-03", DeviceRunState.FAILED, "late", leases={"pi-03": old.id})
    assert leases.standing(RUN, "pi-03").state is DeviceRunState.PLANNED


def test_plans_under_an_ended_lease_are_refused_and_the_others_are_kept(leases: Store) -> None:
    old = granted(leases, ANN).lease
    nano = granted(leases, ANN, NANO).lease
    granted(leases, replace(ANN, controller="pid 300"))
    plans = [
        PreparedPlan(
            sample_plan(one, SWEEP, MODEL), save_snapshot(leases, one, Facts(FACTS), STARTED_AT), WORKER_SHA256
        )
        for one in (PI, NANO)
    ]
    refused = leases.save_plans(RUN, plans, {"pi-03": old.id, "nano-01": nano.id})
    assert isinstance(refused["pi-03"], LeaseLost)
    assert list(refused) == ["pi-03"]
    assert leases.plan_document(RUN, "pi-03") is None
    assert leases.plan_document(RUN, "nano-01") is not None
