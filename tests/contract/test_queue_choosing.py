"""What a daemon chooses from the queue of a database: its own runs that were left behind, and queues of thousands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from sqlalchemy import event

from orchestrator.domain.inventory import Inventory
from orchestrator.domain.run import RunState
from orchestrator.domain.schedule import NewSchedule, Rhythm
from orchestrator.domain.submission import SubmissionState
from orchestrator.driving.identity import ControllerIdentity
from orchestrator.reporting.live.progress import SilentDisplay
from orchestrator.services.queue.carry_out import Carrier, _ends_daemons
from orchestrator.services.queue.choosing import claim_next, give_way, read_queue
from orchestrator.services.queue.daemon import Chores
from orchestrator.services.queue.firing import Firer
from orchestrator.services.queue.heart import Heart
from orchestrator.services.queue.looking import look
from orchestrator.services.runs.show import details_of
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import sample_device, sample_header
from tests.contract.leases import MODEL, PI, SWEEP
from tests.contract.queue_rows import ANN, FILE, Clock, begun, claimed, found_again, stored_file, submitted

if TYPE_CHECKING:
    from orchestrator.services.base import QueueWiring

INVENTORY = Inventory({"pi-03": sample_device("pi-03"), "pi-04": sample_device("pi-04")})
MANY = 10_000


def heart_of(store: Store, number: int = 1) -> Heart:
    identity = replace(ControllerIdentity(f"lab@d{number}", f"pid {number}"), lease_s=60.0)
    return Heart(store, identity, INVENTORY, (), lambda _: None)


@contextmanager
def counting(store: Store) -> Iterator[list[str]]:
    """Note the statements that reach the database."""
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        found.append(statement)

    event.listen(store.database._engine, "before_cursor_execute", note)
    yield found
    event.remove(store.database._engine, "before_cursor_execute", note)


def test_a_daemon_takes_up_its_own_run_that_it_lost_with_the_database(store: Store, clock: Clock) -> None:
    """It lives and renews itself: to everybody else the run is in good hands."""
    submitted(store)
    mine, other = heart_of(store, 1), heart_of(store, 2)
    found = claim_next(read_queue(mine, store), mine.daemon, store)
    assert found is not None
    assert claim_next(read_queue(other, store), other.daemon, store) is None
    # The database goes away for an hour, and the first thing that comes back is the daemon's thread.
    clock.go_on(3600)
    for heart in (mine, other):
        store.daemons.renew_daemon(heart.daemon, ["pi-03"], 60.0)
    assert claim_next(read_queue(other, store), other.daemon, store) is None
    again = claim_next(read_queue(mine, store), mine.daemon, store)
    assert again is not None
    assert (again[0].run, again[1].number) == ("run-1", 2)


def test_a_run_gives_way_once_something_urgent_is_there(store: Store) -> None:
    patient, heart = submitted(store, "patient"), heart_of(store)
    found = claim_next(read_queue(heart, store), heart.daemon, store)
    assert found is not None
    with heart.watching(found[1], stops=False):
        give_way(heart, store)
        assert heart.keeps_on(), "nobody said that the sweep allows it"
        heart.preemptible = found[0]
        give_way(heart, store)
        assert heart.keeps_on(), "nothing urgent is there"
        submitted(store, "urgent", priority=1)
        give_way(heart, store)
        assert not heart.keeps_on()
    one = store.submissions.find_submission("patient")
    assert one is not None
    assert (one.id, one.has_yielded, one.error) == (patient.id, True, "gave way to urgent")
    store.daemons.give_back(found[1])
    first = claim_next(read_queue(heart, store), heart.daemon, store)
    assert first is not None
    assert first[0].run == "urgent"


def test_only_the_run_that_was_weighed_gives_way(store: Store) -> None:
    """The heart weighs by a thread of its own: the next run may have begun meanwhile."""
    weighed, present = submitted(store, "weighed"), submitted(store, "present")
    heart = heart_of(store)
    with heart.watching(claimed(store, present, heart.daemon), stops=False):
        heart.give_way(weighed, "urgent")
        assert heart.keeps_on()
        heart.give_way(present, "urgent")
        assert not heart.keeps_on()
    assert {one.run: one.has_yielded for one in store.submissions.open_submissions()} == {
        "weighed": False,
        "present": True,
    }


def test_a_run_goes_on_only_where_its_chosen_devices_are(store: Store) -> None:
    """A daemon of other devices neither takes a chosen run, nor notes devices of its own for it."""
    asked = {"devices": {"select": "all", "count": 1, "spread": None}}
    submitted(store, settings=asked)
    mine, other = heart_of(store, 1), heart_of(store, 2)
    other.inventory = Inventory({"nano-01": sample_device("nano-01")})
    found = claim_next(read_queue(mine, store), mine.daemon, store)
    assert found is not None
    store.submissions.expect({found[0].id: {"pi-03": 60.0}})
    for state in ("running", "given back", "left behind"):
        if state == "given back":
            store.daemons.give_back(found[1])
        elif state == "left behind":
            again = claim_next(read_queue(mine, store), mine.daemon, store)
            assert again is not None
            store.daemons.end_daemon(mine.daemon)
        choice = read_queue(other, store)
        assert choice.devices[found[0].id] == (), state
        assert claim_next(choice, other.daemon, store) is None
        one = store.submissions.find_submission("run-1")
        assert one is not None
        assert one.device_s == {"pi-03": 60.0}, state


def test_devices_of_a_run_that_goes_on_are_noted_by_its_own_daemon_alone(store: Store) -> None:
    submitted(store, select="all")
    mine, other = heart_of(store, 1), heart_of(store, 2)
    other.inventory = Inventory({"nano-01": sample_device("nano-01")})
    found = claim_next(read_queue(mine, store), mine.daemon, store)
    assert found is not None
    read_queue(other, store)
    one = store.submissions.find_submission("run-1")
    assert one is not None
    assert set(one.device_s or ()) == {"pi-03", "pi-04"}


def test_daemons_of_different_inventories_do_not_rewrite_what_the_other_noted(store: Store) -> None:
    """The eldest that has such devices is believed, until it is gone."""
    submitted(store, select="all", device_s=None)
    elder, younger = heart_of(store, 1), heart_of(store, 2)
    younger.inventory = Inventory({"nano-01": sample_device("nano-01")})

    def noted() -> set[str]:
        one = store.submissions.find_submission("run-1")
        assert one is not None
        return set(one.device_s or ())

    assert read_queue(younger, store).devices
    assert noted() == {"nano-01"}
    assert read_queue(elder, store).devices
    assert noted() == {"pi-03", "pi-04"}
    for heart in (younger, elder, younger):
        with counting(store) as statements:
            choice = read_queue(heart, store)
        assert noted() == {"pi-03", "pi-04"}
        assert [one for one in statements if one.startswith("UPDATE")] == []
    assert list(choice.devices.values()) == [("nano-01",)], "it may begin the run all the same"
    store.daemons.end_daemon(elder.daemon)
    read_queue(younger, store)
    assert noted() == {"nano-01"}


def test_only_a_run_that_ends_daemon_after_daemon_is_given_up(store: Store) -> None:
    one = submitted(store)
    for _ in range(60):  # given back each time, as by daemons that are stopped each evening
        store.daemons.give_back(claimed(store, one, begun(store)))
        one = found_again(store, one)
    assert not _ends_daemons(one)
    store.daemons.give_way(claimed(store, one, begun(store)), "a more urgent run")
    for died in range(1, 50):
        store.daemons.end_daemon(found_again(store, one).daemon_id or 0)
        assert not _ends_daemons(found_again(store, one)), died
        claimed(store, found_again(store, one), begun(store))
    store.daemons.end_daemon(found_again(store, one).daemon_id or 0)
    assert _ends_daemons(found_again(store, one)), "also after it has given way once"


def test_a_cancelled_run_names_who_cancelled_it_since_the_claim(store: Store) -> None:
    one = submitted(store)
    claim = claimed(store, one, begun(store))
    store.runs.create_run(sample_header("run-1", SWEEP, MODEL), MODEL, [PI])
    found = details_of(store, "run-1")
    ended = replace(found, record=replace(found.record, state=RunState.CANCELLED))
    carrier = Carrier(cast("QueueWiring", SimpleNamespace(store=store)), lambda _: SilentDisplay(), heart_of(store))
    store.daemons.give_way(claim, "urgent")
    yielded = store.submissions.find_submission("run-1")
    assert yielded is not None
    assert carrier._judged(yielded, ended).error is None, "giving way is no reason of this end"
    store.submissions.cancel(one.id, ANN)
    assert carrier._judged(yielded, ended).error == f"cancelled by {ANN}"


def test_a_queue_of_ten_thousand_runs_costs_no_more_statements_than_one_of_ten(store: Store) -> None:
    submitted(store, device_s={"pi-03": 60.0, "pi-04": 60.0})
    heart, counts = heart_of(store), []
    for size in (10, MANY):
        with store.database.write() as connection:
            connection.exec_driver_sql(
                "INSERT INTO submission (run_id, holder, sweep, source, selector, priority, rank, state, submitted_at,"
                " tags, claim, stops, device_s)"
                f" WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {size})"
                f" SELECT 'of-{size}-' || i, 'user' || (i - i / 7 * 7) || '@ws', sweep, source, selector,"
                " i - i / 3 * 3, i, state, submitted_at, tags, claim, stops, device_s"
                " FROM submission, n WHERE run_id = 'run-1'"
            )
        with counting(store) as statements:
            choice = read_queue(heart, store)
            view = look(store)
        counts.append(len(statements))
    assert counts[0] == counts[1] < 50
    assert len(choice.submissions) == len(view.entries) == 1 + 10 + MANY
    assert [entry.submission.priority for entry in view.entries[:2]] == [2, 2]
    assert view.entries[0].reason == "next to begin"
    assert None not in [entry.begins_at for entry in view.entries]
    found = claim_next(choice, heart.daemon, store)
    assert found is not None
    assert found[0].run == view.entries[0].submission.run
    (running,) = [one for one in store.submissions.open_submissions() if one.state is SubmissionState.RUNNING]
    assert running.run == found[0].run


def test_a_defect_of_the_chores_is_told_once_and_leaves_the_daemon_alive(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that nobody expects, as a later release may write it."""
    monkeypatch.delenv("BENCHFLEET_DEBUG", raising=False)
    stored_file(store)
    daily = Rhythm("30 2 * * *", "UTC")
    store.schedules.add_schedule(NewSchedule("nights", ANN, daily, "one", "/lab/one.yaml", "all", 0, (FILE,)))
    with store.database.write() as connection:
        connection.exec_driver_sql("UPDATE schedule SET overlap = 'by turns', fires_at = added_at")
    said: list[str] = []
    chores = Chores(Firer(store, said.append), store)
    for _ in range(2):
        chores(heart_of(store))
    assert len(said) == 1
    assert said[0].startswith("unexpected ValueError: 'by turns' is not a valid Overlap; this is a defect")
