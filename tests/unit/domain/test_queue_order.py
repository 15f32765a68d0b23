"""Who is next in the queue, and why the others wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.lease import Holding, Lease
from orchestrator.domain.queue_forecast import expected_starts
from orchestrator.domain.queue_order import Standing, in_order, more_urgent, reasons, startable
from orchestrator.domain.recovery import Quarantine
from orchestrator.domain.submission import DaemonRecord, Submission, SubmissionState, checked_path, checked_priority
from orchestrator.domain.window import Window

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
PI, NANO = "pi-03", "nano-01"
DAEMON = DaemonRecord(1, "lab@d1", "pid 1", NOW, (PI, NANO))


def one(
    number: int, person: str = "ann", devices: str = PI, seconds: float | None = 60.0, **more: object
) -> Submission:
    plain = Submission(
        id=number,
        run=f"run-{number}",
        holder=f"{person}@ws",
        sweep="s",
        source="/lab/s.yaml",
        select="all",
        priority=0,
        rank=number,
        state=SubmissionState.WAITING,
        submitted_at=NOW - timedelta(minutes=60 - number),
        claim=0,
        device_s=dict.fromkeys(devices.split(), seconds),
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def lease(device: str = PI, run: str | None = "other", holder: str = "bob@ws", left: bool = False) -> Lease:
    return Lease(
        *(1, device, holder, "pid 9", run, None, True, NOW, NOW),
        *(NOW + timedelta(seconds=100), 1, False, NOW if left else None),
    )


def held(*leases: Lease) -> Standing:
    return Standing(NOW, holdings={found.device: Holding((found,), 0) for found in leases})


def ids(*submissions: Submission, standing: Standing | None = None) -> list[int]:
    return [found.id for found in in_order(submissions, standing or Standing(NOW))]


def begins(*submissions: Submission, standing: Standing | None = None) -> list[int]:
    devices: Mapping[int, tuple[str, ...]] = {each.id: tuple(each.device_s or ()) for each in submissions}
    return [found.id for found in startable(submissions, devices, standing or Standing(NOW))]


def why(*submissions: Submission, standing: Standing | None = None, daemon: bool = True) -> list[str | None]:
    standing = standing or Standing(NOW)
    found = reasons(in_order(submissions, standing), [DAEMON] if daemon else [], standing)
    return [found[each.id] for each in submissions]


def test_the_earlier_of_one_person_goes_first_unless_it_was_moved() -> None:
    assert ids(one(2), one(1)) == [1, 2]
    assert ids(one(1), replace(one(2), rank=0)) == [2, 1]


def test_priority_goes_before_everything() -> None:
    shares = Standing(NOW, {"bob": 1e6})
    assert ids(one(1), one(2, "bob", priority=1), standing=shares) == [2, 1]


def test_at_equal_priority_the_person_with_less_device_time_goes_first() -> None:
    queue = (one(1), one(2), one(3, "bob"))
    assert ids(*queue, standing=Standing(NOW, {"ann": 100.0, "bob": 99.0})) == [3, 1, 2]
    assert ids(*queue, standing=Standing(NOW, {"ann": 100.0, "bob": 101.0})) == [1, 2, 3]


def test_a_person_has_one_share_on_all_machines() -> None:
    here, there = one(1), replace(one(2), holder="ann@laptop")
    assert ids(here, there, one(3, "bob"), standing=Standing(NOW, {"ann": 1.0})) == [3, 1, 2]


@pytest.mark.parametrize(("days", "first"), [(0.9, 2), (1.1, 1), (3.0, 1)])
def test_nothing_waits_for_ever(days: float, first: int) -> None:
    """Each whole day raises the priority by one, and so goes past a person without device time."""
    old = replace(one(1), submitted_at=NOW - timedelta(days=days))
    assert ids(old, one(2, "bob"), standing=Standing(NOW, {"ann": 1e6}))[0] == first


def test_a_run_for_later_does_not_age_before() -> None:
    late = replace(one(1), submitted_at=NOW - timedelta(days=9), not_before=NOW + timedelta(hours=1))
    assert ids(late, one(2, "bob"), standing=Standing(NOW, {"ann": 1.0})) == [2, 1]
    assert begins(late, one(2, "bob")) == [2], "and keeps no device from others"


def test_what_waits_for_a_device_keeps_it_from_all_behind() -> None:
    """Small runs must not overtake a large one for ever, and runs on other devices pass."""
    large, small, other = one(1, devices=f"{PI} {NANO}"), one(2, devices=PI), one(3, devices="elsewhere")
    busy = held(lease(NANO))
    assert begins(large, small, other, standing=busy) == [3]
    assert why(large, small, standing=busy) == [
        "nano-01 is in use by run other of bob@ws since 12:00 UTC",
        "behind run-1 for pi-03",
    ]
    assert begins(large, small, other) == [1, 3]


def test_held_ones_and_ones_for_other_daemons_keep_nothing() -> None:
    paused = one(1, state=SubmissionState.HELD, error="lid open")
    assert begins(paused, one(2)) == [2]
    assert why(paused, one(2)) == ["held: lid open", "next to begin"]
    assert begins(one(1, device_s=None), one(2)) == [2]


def test_a_held_one_that_was_being_cancelled_says_why_it_stopped_and_how_to_go_on() -> None:
    paused = one(1, state=SubmissionState.HELD, error="no node", claim=1, stops=True)
    assert why(paused) == ["held: no node; to go on cancelling: benchfleet queue cancel run-1"]


def test_a_claimed_one_is_left_alone_and_an_abandoned_one_goes_on() -> None:
    living = one(1, state=SubmissionState.RUNNING, claim=1, is_claimed=True)
    assert begins(living) == []
    assert begins(replace(living, is_claimed=False)) == [1]
    assert why(living) == [None]
    assert why(replace(living, stops=True)) == ["is being cancelled"]


def test_a_claim_just_made_keeps_its_devices_before_they_are_leased() -> None:
    claimed = one(2, state=SubmissionState.RUNNING, claim=1, is_claimed=True, claimed_at=NOW - timedelta(seconds=5))
    assert begins(one(1), claimed) == []
    assert begins(one(1), replace(claimed, claimed_at=NOW - timedelta(minutes=5))) == [1], "leases tell by then"


def test_the_leases_of_a_run_are_in_its_way_only_while_somebody_renews_them() -> None:
    mine = one(1, claim=1)
    assert begins(mine, standing=held(lease(run="run-1"))) == []
    assert begins(mine, standing=held(lease(run="run-1", left=True))) == [1]
    assert begins(mine, standing=held(lease(run="other", left=True))) == []


def test_a_reservation_admits_its_holder() -> None:
    standing = held(lease(run=None, holder="ann@ws"))
    assert begins(one(1), standing=standing) == [1]
    assert begins(one(2, "bob"), standing=standing) == []


def test_a_run_whose_devices_are_all_in_quarantine_waits() -> None:
    barred = Standing(NOW, quarantines={PI: Quarantine(PI, "silent", "bob@ws", None, NOW)})
    assert begins(one(1), standing=barred) == []
    assert why(one(1), standing=barred) == ["pi-03 is in quarantine: silent"]
    assert begins(one(1, devices=f"{PI} {NANO}"), standing=barred) == [1], "the others measure"


def test_the_reason_says_which_daemon_is_missing() -> None:
    assert why(one(1), daemon=False) == ["no daemon is running"]
    assert why(one(1, devices="tpu-9")) == ["no running daemon has the device tpu-9"]
    assert why(one(1, device_s=None)) == ["no running daemon has found devices for 'all'"]


def test_expected_starts_follow_each_device_and_stop_at_the_unknown() -> None:
    running = one(1, state=SubmissionState.RUNNING, claim=1, is_claimed=True, claimed_at=NOW - timedelta(seconds=20))
    second, third, unknown, behind, elsewhere = (
        one(2),
        one(3, not_before=NOW + timedelta(hours=1)),
        one(4, seconds=None),
        one(5),
        one(6, devices=NANO),
    )
    found = expected_starts([running, second, third, unknown, behind, elsewhere], Standing(NOW))
    assert found == {
        1: NOW - timedelta(seconds=20),
        2: NOW + timedelta(seconds=40),
        # The unknown one begins before the one for later is due.
        3: None,
        4: NOW + timedelta(seconds=100),
        5: None,
        6: NOW,
    }


def test_a_device_in_use_is_expected_back_when_its_lease_ends() -> None:
    assert expected_starts([one(1)], held(lease())) == {1: NOW + timedelta(seconds=100)}


def test_a_held_one_has_no_start_and_delays_nobody() -> None:
    found = expected_starts([one(1, state=SubmissionState.HELD), one(2)], Standing(NOW))
    assert found == {1: None, 2: NOW}


@pytest.mark.parametrize("path", ["", "/etc/passwd", "a//b", "../a", "a/../../b", ".", "a\\b", "a\0b"])
def test_a_path_that_leads_out_of_a_parcel_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="no path within a submission"):
        checked_path(path)


def test_priorities_are_bounded() -> None:
    assert checked_priority(-100) == -100
    with pytest.raises(ConfigError, match="from -100 to 100"):
        checked_priority(101)


def running(number: int, **more: object) -> Submission:
    """Return a submission that has its device, under a lease that its daemon renews."""
    begun = replace(one(number), state=SubmissionState.RUNNING, claim=1, is_claimed=True)
    return replace(begun, claimed_at=NOW - timedelta(hours=1), **more)  # type: ignore[arg-type]


def urgent_for(own: Submission, *others: Submission, standing: Standing | None = None) -> int | None:
    devices = {each.id: tuple(each.device_s or ()) for each in (own, *others)}
    found = more_urgent(own, [own, *others], devices, standing or held(lease(run=own.run)))
    return None if found is None else found.id


def test_a_run_gives_way_to_a_higher_priority_alone() -> None:
    assert urgent_for(running(1), one(2, priority=1)) == 2
    assert urgent_for(running(1), one(2, "bob")) is None, "not to a person with less device time"
    assert urgent_for(running(1, priority=1), one(2, priority=1)) is None
    aged = running(1, submitted_at=NOW - timedelta(days=2))
    assert urgent_for(aged, one(2, priority=1)) is None, "it would go first again, and the two would take turns"


def test_a_run_gives_way_only_to_what_can_begin_at_once_on_its_devices() -> None:
    both = one(2, devices=f"{PI} {NANO}", priority=5)
    mine = lease(run="run-1")
    assert urgent_for(running(1), both) == 2
    assert urgent_for(running(1), both, standing=held(mine, lease(NANO))) is None, "another run has the other device"
    assert urgent_for(running(1), one(2, devices=NANO, priority=5)) is None
    assert urgent_for(running(1), one(2, priority=5, not_before=NOW + timedelta(hours=1))) is None
    assert urgent_for(running(1), one(2, priority=5, state=SubmissionState.HELD)) is None
    first = one(3, devices=NANO, priority=9)
    assert urgent_for(running(1), first, both) is None, "the other device is for the first of the queue"


def test_a_run_that_gave_way_waits_for_its_window_again() -> None:
    nightly = Window("nightly", "22:00-06:00", "UTC", devices=(PI,))
    day = Standing(NOW, windows={"nightly": nightly})
    begun = one(1, claim=1, window="nightly")
    assert begins(begun, standing=day) == [1]
    assert begins(replace(begun, has_yielded=True), standing=day) == []
