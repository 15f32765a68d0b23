"""Several names of one machine share its lease and its queue."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.domain.device import Device
from orchestrator.domain.facts import Facts
from orchestrator.domain.lease import Busy, Granted
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    save_snapshot,
)
from tests.contract.leases import (
    ANN,
    BOB,
    NANO,
    PI,
    RESERVATION,
    busy,
    granted,
    open_leases,
)


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
