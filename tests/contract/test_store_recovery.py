"""What every database keeps of recoveries and quarantines."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from orchestrator.domain.errors import LeaseLost
from orchestrator.domain.recovery import Rung
from orchestrator.store.schema import tables
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import sample_device
from tests.contract.leases import ANN, BOB, NANO, OTHER_RUN, PI, RUN, granted


def test_rungs_are_told_in_order_with_what_came_of_each(fleet: Store) -> None:
    lease = granted(fleet, ANN).lease
    known = {"pi-03": lease.id}
    retried = fleet.recovery.begin_rung(RUN, "pi-03", Rung.RETRY, "pi-03: connect: refused", leases=known)
    fleet.recovery.end_rung(retried, succeeded=False)
    cycled = fleet.recovery.begin_rung(RUN, "pi-03", Rung.POWER_CYCLE, "no answer\x1b[2J", leases=known)
    first, second = fleet.recovery.recovery_events(RUN)
    assert (first.rung, first.reason, first.succeeded) == (Rung.RETRY, "pi-03: connect: refused", False)
    assert first.began_at <= (first.ended_at or first.began_at) <= second.began_at
    assert (second.reason, second.ended_at, second.succeeded) == ("no answer[2J", None, None), "its end is not known"
    fleet.recovery.end_rung(cycled, succeeded=True)
    assert fleet.recovery.recovery_events(RUN)[1].succeeded is True
    assert fleet.recovery.recovery_events(OTHER_RUN) == []


def test_a_rung_is_refused_once_another_controller_has_the_device(fleet: Store) -> None:
    """Whoever no longer has a device does not cut its power."""
    lost = granted(fleet, replace(ANN, lasts_s=0)).lease
    granted(fleet, BOB)
    with pytest.raises(LeaseLost, match="in use by run run-2 of bob@ws2"):
        fleet.recovery.begin_rung(RUN, "pi-03", Rung.REBOOT, "stopped", leases={"pi-03": lost.id})
    assert fleet.recovery.recovery_events(RUN) == []


def test_a_quarantine_lasts_until_somebody_ends_it(fleet: Store) -> None:
    made = fleet.recovery.quarantine(PI, "its fan is broken", "ann@ws1")
    assert (made.device, made.reason, made.holder, made.run) == ("pi-03", "its fan is broken", "ann@ws1", None)
    assert fleet.recovery.quarantines(["pi-03", "nano-01"]) == {"pi-03": made}
    assert fleet.recovery.quarantine(PI, "nothing helped", "bob@ws2", RUN) == made, "the first reason stays"
    assert fleet.recovery.readmit("nano-01", "bob@ws2") is None
    assert fleet.recovery.readmit("pi-03", "bob@ws2") == made
    assert fleet.recovery.readmit("pi-03", "bob@ws2") is None
    assert fleet.recovery.quarantines(["pi-03"]) == {}
    again = fleet.recovery.quarantine(PI, "nothing helped", "bob@ws2", RUN)
    assert (again.reason, again.run) == ("nothing helped", RUN)
    with fleet.database.read() as connection:
        kept = connection.execute(select(tables.quarantine.c.reason, tables.quarantine.c.ended_by)).all()
    assert [tuple(row) for row in kept] == [("its fan is broken", "bob@ws2"), ("nothing helped", None)]


def test_a_device_that_the_database_never_saw_can_be_kept_out(store: Store) -> None:
    assert store.recovery.quarantine(sample_device("new-01"), "not yet set up", "ann@ws1").device == "new-01"


def test_the_engine_itself_refuses_a_second_quarantine(fleet: Store) -> None:
    made = fleet.recovery.quarantine(NANO, "noisy", "ann@ws1")
    with fleet.database.read() as connection:
        device = connection.execute(select(tables.quarantine.c.device_id)).scalar_one()
    row = {"device_id": device, "reason": "again", "holder": "bob@ws2", "since": made.since}
    with fleet.database.write() as connection, pytest.raises(IntegrityError):
        connection.execute(insert(tables.quarantine), row)
