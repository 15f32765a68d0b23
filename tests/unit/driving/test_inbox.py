from __future__ import annotations

from typing import Any

import pytest

from orchestrator.domain.conversation import (
    FollowEnded,
    RecordsArrived,
    Report,
    SessionEnded,
    SessionId,
    SessionReport,
    Step,
    StepBegan,
)
from orchestrator.driving import inbox as module
from orchestrator.driving.inbox import DELAY_S_MAX, END_DELAY_PART, Inbox


class SteppedClock:
    """A clock that moves only when told to; what the inbox waits for in vain takes no time on it."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SteppedClock:
    stepped = SteppedClock()
    monkeypatch.setattr(module, "time", stepped)
    return stepped


@pytest.fixture
def inbox(monkeypatch: pytest.MonkeyPatch) -> Inbox[Any]:
    monkeypatch.setattr(module, "DELAY_S", 1.0)  # fifty devices then wait DELAY_S_MAX
    fresh: Inbox[Any] = Inbox()
    fresh.expect(50)
    return fresh


def _said(report: Report) -> SessionReport:
    return SessionReport(SessionId("r", report.device, "1"), report)


def _records(device: str) -> SessionReport:
    return _said(RecordsArrived(device, "r", "log", 1, 1, b"x\n"))


def _end(device: str) -> SessionReport:
    return _said(FollowEnded(device, "r", "finished", "log", 1))


def test_records_wait_for_company_and_keep_their_order(inbox: Inbox[Any], clock: SteppedClock) -> None:
    inbox.put(_records("a"))
    assert inbox.take(0) == ([], [])
    clock.now_s += DELAY_S_MAX / 2
    inbox.put(_records("b"))
    assert inbox.take(0) == ([], [])
    clock.now_s += DELAY_S_MAX / 2
    assert inbox.take(0) == ([], [_records("a"), _records("b")])
    assert inbox.take(0) == ([], [])


def test_what_is_urgent_passes_what_waits(inbox: Inbox[Any], clock: SteppedClock) -> None:
    inbox.put(_records("a"))
    inbox.put(_said(StepBegan("b", Step.CONNECT)))
    assert inbox.take(0) == ([_said(StepBegan("b", Step.CONNECT))], [])


def test_the_end_of_a_log_waits_a_little_while_others_go_on(inbox: Inbox[Any], clock: SteppedClock) -> None:
    inbox.put(_records("a"))
    inbox.put(_end("a"))
    assert inbox.take(0) == ([], [])
    clock.now_s += DELAY_S_MAX * END_DELAY_PART
    assert inbox.take(0) == ([], [_records("a"), _end("a")])


def test_the_end_of_the_last_log_waits_for_nobody(inbox: Inbox[Any], clock: SteppedClock) -> None:
    inbox.put(_end("b"))
    assert inbox.take(0, going_on=2) == ([], [])
    inbox.put(_end("b"))  # followed once more: it is still one device
    assert inbox.take(0, going_on=2) == ([], [])
    inbox.put(_records("c"))
    assert inbox.take(0, going_on=2) == ([], [])
    inbox.put(_end("c"))
    assert inbox.take(0, going_on=2) == ([], [_end("b"), _end("b"), _records("c"), _end("c")])


def test_ends_that_were_heard_before_are_not_counted_again(inbox: Inbox[Any], clock: SteppedClock) -> None:
    """What resumes a run follows the old log of each device to its end first: nobody is done by that."""
    for device in ("a", "b"):
        inbox.put(_end(device))
    assert len(inbox.take(0, going_on=2)[1]) == 2
    inbox.put(_end("a"))
    assert inbox.take(0, going_on=2) == ([], [])
    assert inbox.take(0, going_on=1) == ([], [_end("a")])


def test_records_of_the_last_device_wait_as_any_others(inbox: Inbox[Any], clock: SteppedClock) -> None:
    inbox.put(_records("a"))
    assert inbox.take(0, going_on=1) == ([], [])


def test_the_end_of_a_session_waits_for_nobody_and_takes_with_it_what_came_before(
    inbox: Inbox[Any], clock: SteppedClock
) -> None:
    inbox.put(_records("a"))
    inbox.put(_said(SessionEnded("b")))
    assert inbox.take(0) == ([], [_records("a"), _said(SessionEnded("b"))])
