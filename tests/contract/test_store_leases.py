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
from orchestrator.domain.lease import Busy, Granted, LeaseRequest
from orchestrator.domain.plan.values import PreparedPlan
from orchestrator.domain.run import DeviceRunState
from orchestrator.store.schema import tables
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
ANN = LeaseRequest("ann@ws1", "pid 100", RUN, None, 60.0)
BOB = LeaseRequest("bob@ws2", "pid 200", OTHER_RUN, None, 60.0)
RESERVATION = LeaseRequest("ann@ws1", "pid 101", None, "bisecting", 3600.0)


@pytest.fixture
def fleet(store: Store) -> Store:
    """A store with two runs of two devices."""
    for run in (RUN, OTHER_RUN):
        store.runs.create_run(sample_header(run, SWEEP, MODEL), MODEL, [PI, NANO])
    return store


def granted(store: Store, claim: LeaseRequest, device: Device = PI, waiting: int | None = None) -> Granted:
    answer = store.leases.request_leases([device], claim, {} if waiting is None else {device.name: waiting})[
        device.name
    ]
    assert isinstance(answer, Granted), answer
    return answer


def busy(store: Store, claim: LeaseRequest, device: Device = PI, waiting: int | None = None) -> Busy:
    answer = store.leases.request_leases([device], claim, {} if waiting is None else {device.name: waiting})[
        device.name
    ]
    assert isinstance(answer, Busy), answer
    return answer


def place(store: Store, claim: LeaseRequest) -> int:
    waiting = busy(store, replace(claim, queues=True)).waiting
    assert waiting is not None
    return waiting


def open_leases(store: Store) -> Sequence[str]:
    with store.database.read() as connection:
        return (
            connection.execute(select(tables.lease.c.holder).where(tables.lease.c.ended_at.is_(None))).scalars().all()
        )


def test_a_free_device_is_granted_and_nobody_else_gets_it(fleet: Store) -> None:
    first = granted(fleet, ANN)
    refused = busy(fleet, BOB)
    assert [lease.id for lease in refused.held] == [first.lease.id]
    assert refused.sentence.startswith("in use by run run-1 of ann@ws1 since ")
    assert refused.waiting is None
    assert open_leases(fleet) == ["ann@ws1"]


def test_each_device_is_claimed_for_itself_in_one_go(fleet: Store) -> None:
    granted(fleet, ANN, NANO)
    answers = fleet.leases.request_leases([PI, NANO], BOB)
    assert isinstance(answers["pi-03"], Granted)
    assert isinstance(answers["nano-01"], Busy)


def test_a_device_that_the_database_never_saw_can_be_reserved(store: Store) -> None:
    assert granted(store, RESERVATION).lease.token == 1


def test_tokens_of_a_device_grow_with_each_grant(fleet: Store) -> None:
    tokens = []
    for claim in (ANN, BOB, ANN):
        lease = granted(fleet, claim).lease
        tokens.append(lease.token)
        fleet.leases.end_leases([lease.id])
    assert tokens == [1, 2, 3]


def test_an_expired_lease_gives_way_and_its_holder_hears_to_whom(fleet: Store) -> None:
    late = granted(fleet, replace(ANN, lasts_s=0)).lease
    granted(fleet, BOB)
    (lost,) = fleet.leases.renew_leases({late.id: 60.0})
    assert lost.device == "pi-03"
    assert "the lease of run run-1 ended" in lost.message
    assert "in use by run run-2 of bob@ws2" in lost.message


def test_an_expired_lease_that_nobody_wanted_is_renewed(fleet: Store) -> None:
    late = granted(fleet, replace(ANN, lasts_s=0)).lease
    assert fleet.leases.renew_leases({late.id: 60.0}) == []
    assert busy(fleet, BOB).held[0].id == late.id


def test_who_had_the_device_meanwhile_and_has_given_it_back_is_not_said_to_have_it(fleet: Store) -> None:
    late = granted(fleet, replace(ANN, lasts_s=0)).lease
    bobs = granted(fleet, BOB).lease
    fleet.leases.end_leases([bobs.id])
    (lost,) = fleet.leases.renew_leases({late.id: 60.0})
    assert "the lease of run run-1 ended" in lost.message
    assert "run-2" not in lost.message
    assert lost.hint == "benchfleet runs resume run-1"


def test_who_has_the_device_now_is_named_rather_than_who_had_it_meanwhile(fleet: Store) -> None:
    late = granted(fleet, replace(ANN, lasts_s=0)).lease
    fleet.leases.end_leases([granted(fleet, replace(BOB, run=None, reason="x")).lease.id])
    granted(fleet, BOB)
    (lost,) = fleet.leases.renew_leases({late.id: 60.0})
    assert "the device is in use by run run-2 of bob@ws2" in lost.message


def test_a_take_over_that_is_over_is_told_as_such(fleet: Store) -> None:
    first = granted(fleet, ANN).lease
    again = granted(fleet, replace(ANN, holder="cy@ws3", controller="pid 300")).lease
    fleet.leases.end_leases([again.id])
    (lost,) = fleet.leases.renew_leases({first.id: 60.0})
    assert "run run-1 was taken over by cy@ws3 (pid 300) at " in lost.message
    assert lost.hint == "it was given back there since: benchfleet runs show run-1"


def test_the_same_run_is_taken_over_at_once_with_a_new_token(fleet: Store) -> None:
    first = granted(fleet, ANN).lease
    again = granted(fleet, replace(ANN, holder="cy@ws3", controller="pid 300"))
    assert again.taken_over == (first,)
    assert (first.token, again.lease.token) == (1, 2)
    (lost,) = fleet.leases.renew_leases({first.id: 60.0})
    assert "run run-1 was taken over by cy@ws3 (pid 300) at " in lost.message
    assert lost.exit_code == 3


def test_what_a_run_has_not_given_back_is_known_by_the_run_expired_or_not(fleet: Store) -> None:
    granted(fleet, replace(ANN, lasts_s=0))
    given_back = granted(fleet, ANN, NANO).lease
    fleet.leases.end_leases([given_back.id])
    assert fleet.leases.unreleased(RUN) == {"pi-03"}
    assert fleet.leases.unreleased(OTHER_RUN) == frozenset()
    granted(fleet, ANN)
    place(fleet, BOB)
    assert fleet.leases.unreleased(OTHER_RUN) == frozenset(), "whoever waits has nothing to give back"


def test_the_queue_is_served_in_the_order_of_its_places(fleet: Store) -> None:
    held = granted(fleet, ANN).lease
    third = replace(BOB, holder="cy@ws3")
    bob, cy = place(fleet, BOB), place(fleet, third)
    assert busy(fleet, replace(third, queues=True), waiting=cy).ahead == 1
    fleet.leases.end_leases([held.id])
    assert busy(fleet, replace(third, queues=True), waiting=cy).ahead == 1
    assert busy(fleet, ANN).sentence == "2 wait for it already"
    assert granted(fleet, replace(BOB, queues=True), waiting=bob).lease.id == bob


def test_a_waiter_that_died_drops_out(fleet: Store) -> None:
    held = granted(fleet, ANN).lease
    place(fleet, replace(BOB, place_s=0))
    alive = place(fleet, replace(BOB, holder="cy@ws3"))
    fleet.leases.end_leases([held.id])
    assert granted(fleet, replace(BOB, holder="cy@ws3", queues=True), waiting=alive).lease.holder == "cy@ws3"


def test_a_place_that_was_found_expired_is_taken_anew_at_the_end(fleet: Store) -> None:
    granted(fleet, ANN)
    late = place(fleet, replace(BOB, place_s=0))
    other = place(fleet, replace(BOB, holder="cy@ws3"))
    again = busy(fleet, replace(BOB, queues=True), waiting=late)
    assert again.ahead == 1
    assert again.waiting is not None
    assert again.waiting > other


def test_a_place_that_is_given_back_leaves_no_row_behind(fleet: Store) -> None:
    granted(fleet, ANN)
    fleet.leases.end_leases([place(fleet, BOB)])
    assert open_leases(fleet) == ["ann@ws1"]
    assert fleet.leases.holdings(["pi-03"])["pi-03"].queue == 0


def test_a_reservation_admits_runs_of_its_holder_before_the_queue_and_no_others(fleet: Store) -> None:
    granted(fleet, RESERVATION)
    place(fleet, BOB)
    refused = busy(fleet, BOB)
    assert refused.sentence.startswith("reserved by ann@ws1 until ")
    assert refused.sentence.endswith(" UTC (bisecting)")
    granted(fleet, ANN)
    assert [lease.holder for lease in fleet.leases.holdings(["pi-03"])["pi-03"].held] == ["ann@ws1", "ann@ws1"]
    assert busy(fleet, replace(ANN, run=OTHER_RUN)).held[0].run == RUN


def test_a_reservation_admits_whoever_names_it(fleet: Store) -> None:
    reserved = granted(fleet, RESERVATION).lease
    assert granted(fleet, replace(BOB, reservation=reserved.id)).lease.holder == "bob@ws2"


def test_a_reservation_ends_by_itself(fleet: Store) -> None:
    granted(fleet, replace(RESERVATION, lasts_s=0))
    granted(fleet, BOB)
    assert open_leases(fleet) == ["bob@ws2"]


def test_a_device_is_reserved_by_one_at_a_time(fleet: Store) -> None:
    granted(fleet, RESERVATION)
    assert busy(fleet, RESERVATION).held[0].is_reservation
    assert busy(fleet, replace(RESERVATION, holder="bob@ws2")).held[0].holder == "ann@ws1"


def test_a_run_is_collected_beside_a_lease_of_somebody_else(fleet: Store) -> None:
    granted(fleet, BOB)
    beside = granted(fleet, replace(ANN, collects=True)).lease
    assert not beside.exclusive
    assert [lease.holder for lease in fleet.leases.holdings(["pi-03"])["pi-03"].held] == ["bob@ws2"]


def test_holdings_name_holder_and_queue(fleet: Store) -> None:
    granted(fleet, RESERVATION)
    place(fleet, BOB)
    found = fleet.leases.holdings(["pi-03", "nano-01"])
    assert list(found) == ["pi-03"]
    assert found["pi-03"].held[0].reason == "bisecting"
    assert found["pi-03"].queue == 1


def test_the_engine_itself_refuses_a_second_holder(fleet: Store) -> None:
    granted(fleet, ANN)
    with fleet.database.read() as connection:
        row = dict(connection.execute(select(tables.lease)).mappings().one())
    row.pop("id")
    with pytest.raises(IntegrityError) as refused, fleet.database._engine.begin() as connection:
        connection.execute(insert(tables.lease), {**row, "run_id": OTHER_RUN})
    assert "uq_lease_run" in str(refused.value) or "lease.device_id" in str(refused.value)


def test_a_database_is_known_by_one_name(databases: Databases) -> None:
    url = databases.migrated()
    with open_store(url) as first, open_store(url) as second, open_store(databases.migrated()) as other:
        assert first.leases.database_id() == second.leases.database_id() == first.leases.database_id()
        assert other.leases.database_id() != first.leases.database_id()


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


# ---- Several names of one machine


def on_machine(store: Store, machine: str | None, *devices: Device) -> None:
    """Let a machine's facts be known of these names."""
    for device in devices:
        save_snapshot(store, device, Facts({**FACTS, "boot_id": machine}), STARTED_AT)


def played(device: Device) -> Device:
    return replace(device, exclusive=False)


def test_names_of_one_machine_share_a_lease(fleet: Store) -> None:
    on_machine(fleet, "boot-1", PI, NANO)
    first = granted(fleet, ANN)
    refused = busy(fleet, BOB, NANO)
    assert [lease.id for lease in refused.held] == [first.lease.id]
    assert refused.sentence.startswith("the same machine as pi-03, which is in use by run run-1 of ann@ws1")
    assert refused.waiting is None
    fleet.leases.end_leases([first.lease.id])
    granted(fleet, BOB, NANO)
    busy(fleet, ANN)


@pytest.mark.parametrize("machine", ["boot\x00one", "boot\ud800one", "\u202eboot" * 100, "boot\n\x1b[31m"])
def test_a_boot_id_that_no_kernel_makes_is_a_machine_too(fleet: Store, machine: str) -> None:
    """A device may say anything, also what a database cannot store."""
    on_machine(fleet, machine, PI, NANO)
    granted(fleet, ANN)
    busy(fleet, BOB, NANO)


def test_names_whose_machine_is_unknown_or_another_are_free(fleet: Store) -> None:
    on_machine(fleet, "boot-1", PI)
    granted(fleet, ANN)
    granted(fleet, BOB, NANO)
    on_machine(fleet, None, PI, NANO)
    assert fleet.leases.confirm_leases([NANO], BOB, {"nano-01": 2}) == {}


@pytest.mark.parametrize("shown", [None, "boot-2"], ids=["none", "another"])
def test_a_name_leaves_its_machine_once_its_facts_show_another_or_none(fleet: Store, shown: str | None) -> None:
    """A board was exchanged, and the old one has another name now: the two must not share a lease for ever."""
    on_machine(fleet, "boot-1", PI, NANO)
    granted(fleet, ANN)
    refused = busy(fleet, BOB, NANO)
    assert refused.held[0].device == "pi-03"
    on_machine(fleet, shown, NANO)
    granted(fleet, BOB, NANO)


def test_names_that_share_their_machine_are_in_use_together_but_beside_no_exclusive_one(fleet: Store) -> None:
    on_machine(fleet, "boot-1", PI, NANO)
    shared = granted(fleet, ANN, played(PI))
    busy(fleet, BOB, NANO)
    granted(fleet, BOB, played(NANO))
    fleet.leases.end_leases([shared.lease.id])
    busy(fleet, ANN, PI)


def test_twins_of_one_run_take_turns_in_the_order_in_which_they_are_asked_for(fleet: Store) -> None:
    on_machine(fleet, "boot-1", PI, NANO)
    both = fleet.leases.request_leases([NANO, PI], replace(ANN, takes_turns=True))
    first, second = both["nano-01"], both["pi-03"]
    assert isinstance(first, Granted)
    assert isinstance(second, Busy)
    assert second.turn
    assert second.waiting is not None
    again = busy(fleet, replace(ANN, takes_turns=True), PI, second.waiting)
    assert again.waiting == second.waiting
    fleet.leases.end_leases([first.lease.id])
    assert granted(fleet, replace(ANN, takes_turns=True), PI, second.waiting).lease.exclusive


def test_a_twin_that_another_run_has_is_not_queued_for_unasked(fleet: Store) -> None:
    on_machine(fleet, "boot-1", PI, NANO)
    granted(fleet, BOB)
    refused = busy(fleet, replace(ANN, takes_turns=True), NANO)
    assert (refused.turn, refused.waiting) == (False, None)


def test_the_queue_of_a_machine_is_one_for_all_its_names(fleet: Store) -> None:
    on_machine(fleet, "boot-1", PI, NANO)
    held = granted(fleet, ANN)
    waiting = busy(fleet, replace(BOB, queues=True), NANO).waiting
    fleet.leases.end_leases([held.lease.id])
    assert busy(fleet, ANN).ahead == 1
    granted(fleet, BOB, NANO, waiting)


def test_a_reservation_holds_for_every_name_of_the_machine(fleet: Store) -> None:
    on_machine(fleet, "boot-1", PI, NANO)
    reserved = granted(fleet, RESERVATION)
    busy(fleet, BOB, NANO)
    granted(fleet, replace(BOB, reservation=reserved.lease.id), NANO)
    busy(fleet, RESERVATION, NANO)


def test_a_machine_that_is_in_use_is_told_under_each_of_its_names(fleet: Store) -> None:
    on_machine(fleet, "boot-1", PI, NANO)
    assert fleet.leases.holdings(["pi-03", "nano-01"]) == {}
    reserved, run = granted(fleet, RESERVATION), granted(fleet, ANN)
    found = fleet.leases.holdings(["nano-01", "pi-03", "unknown"])
    assert list(found) == ["nano-01", "pi-03"]
    assert [lease.id for lease in found["pi-03"].held] == [reserved.lease.id, run.lease.id]
    assert found["pi-03"].beside == ()
    assert found["nano-01"].held == ()
    assert found["nano-01"].beside == found["pi-03"].held
    assert fleet.leases.holdings(["nano-01"]) == {"nano-01": found["nano-01"]}
    on_machine(fleet, "boot-2", NANO)
    assert fleet.leases.holdings(["nano-01"]) == {}


def test_names_whose_machine_nobody_knows_are_not_one_machine(fleet: Store) -> None:
    on_machine(fleet, None, PI, NANO)
    granted(fleet, ANN)
    assert fleet.leases.holdings(["pi-03", "nano-01"]).keys() == {"pi-03"}


def test_a_lease_that_shares_the_machine_is_in_the_way_of_exclusive_names_alone(fleet: Store) -> None:
    on_machine(fleet, "boot-1", PI, NANO)
    shared = granted(fleet, ANN, played(PI)).lease
    holding = fleet.leases.holdings(["nano-01"])["nano-01"]
    assert [lease.id for lease in holding.in_the_way(NANO)] == [shared.id]
    assert holding.in_the_way(played(NANO)) == ()


def test_an_expired_lease_of_a_twin_is_ended_before_the_machine_is_given_away(fleet: Store) -> None:
    on_machine(fleet, "boot-1", PI, NANO)
    expired = granted(fleet, replace(ANN, lasts_s=-1.0))
    granted(fleet, BOB, NANO)
    (lost,) = fleet.leases.renew_leases({expired.lease.id: 60.0})
    assert lost.device == "pi-03"


def test_a_lease_gives_way_once_the_machine_turns_out_to_be_in_use_under_another_name(fleet: Store) -> None:
    first, second = granted(fleet, ANN), granted(fleet, BOB, NANO)
    on_machine(fleet, "boot-1", PI, NANO)
    assert fleet.leases.confirm_leases([PI, NANO], ANN, {"pi-03": first.lease.id}).keys() == {"pi-03"}
    assert open_leases(fleet) == [BOB.holder]
    assert fleet.leases.confirm_leases([NANO], BOB, {"nano-01": second.lease.id}) == {}


def test_of_two_twins_of_one_run_the_first_keeps_the_machine_and_the_second_waits(fleet: Store) -> None:
    run = replace(ANN, takes_turns=True)
    answers = fleet.leases.request_leases([PI, NANO], run)
    held = {name: answer.lease.id for name, answer in answers.items() if isinstance(answer, Granted)}
    assert held.keys() == {"pi-03", "nano-01"}
    on_machine(fleet, "boot-1", PI, NANO)
    (given_up,) = fleet.leases.confirm_leases([PI, NANO], run, held).items()
    assert given_up[0] == "nano-01"
    assert given_up[1].turn
    fleet.leases.end_leases([held["pi-03"]])
    granted(fleet, run, NANO, given_up[1].waiting)


def test_after_a_reboot_names_are_one_machine_again_once_both_have_been_seen(fleet: Store) -> None:
    on_machine(fleet, "boot-1", PI, NANO)
    on_machine(fleet, "boot-2", PI)
    first, second = granted(fleet, ANN), granted(fleet, BOB, NANO)
    on_machine(fleet, "boot-2", NANO)
    assert fleet.leases.confirm_leases([NANO], BOB, {"nano-01": second.lease.id}).keys() == {"nano-01"}
    assert fleet.leases.confirm_leases([PI], ANN, {"pi-03": first.lease.id}) == {}
