"""What every database must keep of leases: one holder at a time, a fair queue, and tokens that grow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from orchestrator.domain.lease import Busy, Granted
from orchestrator.store.schema import tables
from orchestrator.store.store import Store, open_store
from tests.contract.leases import (
    ANN,
    BOB,
    NANO,
    OTHER_RUN,
    PI,
    RESERVATION,
    RUN,
    busy,
    granted,
    open_leases,
    place,
)
from tests.databases import Databases


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
