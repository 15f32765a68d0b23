"""What windows let begin, why others wait for them, and what that makes of the expected times."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from orchestrator.domain.lease import Holding
from orchestrator.domain.queue_forecast import expected_starts
from orchestrator.domain.queue_order import Standing, in_order, reasons, startable
from orchestrator.domain.submission import DaemonRecord, Submission, SubmissionState
from orchestrator.domain.window import Window
from tests.unit.domain.test_queue_order import NANO, PI, lease, one

DAY, NIGHT = datetime(2026, 11, 30, 12, tzinfo=UTC), datetime(2026, 11, 30, 23, tzinfo=UTC)
NIGHTLY = Window("nightly", "22:00-06:00", "UTC", devices=(PI, NANO))
CI = Window("ci", "22:00-06:00", "UTC", ("ci",), devices=(PI,))
OPENS, CLOSES = datetime(2026, 11, 30, 22, tzinfo=UTC), datetime(2026, 12, 1, 6, tzinfo=UTC)


def standing(now: datetime, *windows: Window, **more: object) -> Standing:
    return Standing(now, windows={window.name: window for window in windows}, **more)  # type: ignore[arg-type]


def begins(at: Standing, *submissions: Submission) -> list[int]:
    devices = {each.id: tuple(each.device_s or ()) for each in submissions}
    return [found.id for found in startable(submissions, devices, at)]


def why(at: Standing, *submissions: Submission) -> list[str | None]:
    daemon = DaemonRecord(1, "lab@d1", "pid 1", DAY, (PI, NANO, "tpu-9"), tuple(at.windows.values()))
    found = reasons(in_order(submissions, at), [daemon], at)
    return [found[each.id] for each in submissions]


def starts(at: Standing, *submissions: Submission) -> list[datetime | None]:
    found = expected_starts(in_order(submissions, at), at)
    return [found[each.id] for each in submissions]


def test_a_run_for_a_window_begins_within_it_and_keeps_no_device_before() -> None:
    nightly, plain = one(1, window="nightly", priority=5), one(2, "bob")
    day, night = standing(DAY, NIGHTLY), standing(NIGHT, NIGHTLY)
    assert begins(day, nightly, plain) == [2], "by day the devices are free for others"
    assert why(day, nightly, plain) == ["waits for window nightly, opens 22:00 UTC", "next to begin"]
    assert begins(night, nightly, plain) == [1]
    assert why(night, nightly, plain) == ["next to begin", "behind run-1 for pi-03"]
    assert starts(day, nightly, plain) == [OPENS, DAY]


def test_what_has_begun_goes_on_after_the_window_has_closed() -> None:
    left = one(1, window="nightly", claim=1, state=SubmissionState.RUNNING)
    assert begins(standing(DAY, NIGHTLY), left) == [1]
    assert begins(standing(DAY, NIGHTLY), one(1, window="nightly", claim=1)) == [1], "given back by a daemon that ended"


def test_a_window_of_some_people_keeps_its_devices_from_others() -> None:
    mine, theirs, elsewhere = one(1), one(2, "ci"), one(3, devices=NANO)
    night, day = standing(NIGHT, CI), standing(DAY, CI)
    # Whoever must wait keeps no device from the window's people.
    assert begins(night, mine, theirs, elsewhere) == [3, 2]
    assert why(night, mine, theirs, elsewhere) == [
        "pi-03 is kept for ci until 2026-12-01 06:00 UTC by window ci",
        "next to begin",
        "next to begin",
    ]
    assert begins(day, mine, theirs, elsewhere) == [1, 3]
    assert starts(night, mine, theirs, elsewhere) == [CLOSES, NIGHT, NIGHT]


def test_a_window_that_never_lets_a_run_begin_says_why() -> None:
    night = standing(NIGHT, NIGHTLY, CI)
    refused = (one(1, window="nigthly"), one(2, window="ci"), one(3, "ci", devices=NANO, window="ci"))
    assert begins(night, *refused, one(4, "ci")) == [4]
    assert why(night, *refused) == [
        "no running daemon knows the window nigthly (known: ci, nightly)",
        "window ci is not for ann, but for ci",
        "nano-01 is not in window ci",
    ]
    assert starts(night, *refused) == [None, None, None]


def test_a_window_is_waited_for_where_no_daemon_has_any() -> None:
    assert why(standing(NIGHT), one(1, window="nightly")) == ["no running daemon knows the window nightly"]
    assert begins(standing(NIGHT), one(1, window="nightly")) == []


def test_two_windows_are_both_waited_for() -> None:
    """Within the person's own window another one may keep the device for others."""
    early = Window("early", "20:00-24:00", "UTC")
    late = Window("late", "19:00-22:00", "UTC", ("ci",))
    assert starts(standing(DAY, early, late), one(1, window="early")) == [OPENS]
    never = Window("never", "21:00-22:00", "UTC")
    assert starts(standing(DAY, never, late), one(1, window="never")) == [None]


def test_a_window_that_closes_before_the_device_is_free_is_waited_for_again() -> None:
    """And by day the devices that it had kept are free for those behind."""
    busy = {NANO: Holding((lease(NANO),), 0)}
    long = one(1, devices=NANO, seconds=8 * 3600.0, claim=1, is_claimed=True, state=SubmissionState.RUNNING)
    long = Submission(**{**{name: getattr(long, name) for name in long.__slots__}, "claimed_at": NIGHT})
    both, small = one(2, devices=f"{PI} {NANO}", window="nightly", priority=5), one(3, devices=PI)
    found = starts(standing(NIGHT, NIGHTLY, holdings=busy), long, both, small)
    assert found == [NIGHT, OPENS + timedelta(days=1), CLOSES]


def test_a_night_of_runs_is_one_after_the_other_and_the_rest_the_next_night() -> None:
    hours = [one(number, seconds=3 * 3600.0, window="nightly") for number in (1, 2, 3, 4)]
    assert starts(standing(DAY, NIGHTLY), *hours) == [
        OPENS,
        OPENS + timedelta(hours=3),
        OPENS + timedelta(hours=6),
        OPENS + timedelta(days=1),
    ]


def test_a_run_for_later_delays_nobody_who_ends_before() -> None:
    urgent = one(1, priority=9, not_before=DAY + timedelta(minutes=10))
    small = [one(number, seconds=240.0) for number in (2, 3, 4, 5)]
    begin = starts(standing(DAY), urgent, *small)
    minutes = [(moment - DAY) / timedelta(minutes=1) for moment in begin if moment is not None]
    assert minutes == [12, 0, 4, 8, 13], "the third was at work when the urgent one came due"


def test_ten_thousand_runs_are_expected_in_a_moment() -> None:
    """No part of it grows with the square: a queue of ten times the length takes about ten times as long."""
    devices = [f"pi-{number:02}" for number in range(40)]

    def seconds(count: int) -> float:
        queue = [
            one(number, f"user{number % 7}", devices=f"{devices[number % 40]} {devices[number * 7 % 40]}")
            for number in range(count)
        ]
        at = standing(DAY, NIGHTLY)
        began = time.process_time()
        ordered = in_order(queue, at)
        found = expected_starts(ordered, at)
        reasons(ordered, [DaemonRecord(1, "lab@d1", "pid 1", DAY, tuple(devices))], at)
        next(startable(queue, {each.id: tuple(each.device_s or ()) for each in queue}, at))
        assert None not in found.values()
        return time.process_time() - began

    few, many = min(seconds(1_000) for _ in range(3)), min(seconds(10_000) for _ in range(2))
    assert many < 40 * few
