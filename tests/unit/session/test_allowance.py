"""A session reports no more than its allowance, and waits for the database rather than fill the memory."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.conversation import STORED_BYTES_MIN
from orchestrator.domain.errors import LinkLost
from orchestrator.session.allowance import Allowance
from tests.servers.processes import wait_until

WAIT_S = 10.0
MUCH = STORED_BYTES_MIN


def entering(allowance: Allowance, size: int) -> tuple[threading.Thread, threading.Event]:
    """Return a thread that enters, and whether the thread is in."""
    inside = threading.Event()

    def enter() -> None:
        allowance.enter(size)
        inside.set()

    thread = threading.Thread(target=enter, daemon=True)
    thread.start()
    return thread, inside


def waits(thread: threading.Thread, inside: threading.Event) -> bool:
    thread.join(0.1)
    return thread.is_alive() and not inside.is_set()


def test_what_fits_enters_and_the_next_waits_for_room() -> None:
    allowance = Allowance(4 * MUCH)
    allowance.enter(2 * MUCH)
    allowance.enter(2 * MUCH)
    thread, inside = entering(allowance, MUCH)
    assert waits(thread, inside)
    allowance.leave(MUCH - 1)
    assert waits(thread, inside)
    allowance.leave(1)
    assert inside.wait(WAIT_S)


def test_a_message_longer_than_the_window_passes_alone() -> None:
    allowance = Allowance(4 * MUCH)
    allowance.enter(10 * MUCH)
    thread, inside = entering(allowance, 1)
    assert waits(thread, inside)
    allowance.leave(10 * MUCH)
    assert inside.wait(WAIT_S)


def test_a_few_bytes_that_nobody_tells_of_hold_up_no_long_message() -> None:
    allowance = Allowance(4 * MUCH)
    allowance.enter(MUCH - 1)
    allowance.enter(10 * MUCH)


@given(st.lists(st.one_of(st.integers(1, 1000), st.integers(1, 12 * MUCH)), max_size=30))
def test_a_session_whose_records_are_all_stored_never_waits(sizes: list[int]) -> None:
    """The driver tells of bytes as it does: once enough are stored."""
    allowance, untold = Allowance(4 * MUCH), 0
    for size in sizes:
        _, inside = entering(allowance, size)
        assert inside.wait(WAIT_S), sizes
        untold += size
        if untold >= STORED_BYTES_MIN:
            allowance.leave(untold)
            untold = 0


def test_room_given_back_twice_is_no_more_room() -> None:
    allowance = Allowance(4 * MUCH)
    allowance.leave(5 * MUCH)
    allowance.enter(4 * MUCH)
    assert waits(*entering(allowance, 1))


def test_a_session_that_closes_does_not_wait() -> None:
    allowance = Allowance(4 * MUCH)
    allowance.enter(4 * MUCH)
    raised: list[LinkLost] = []

    def enter() -> None:
        try:
            allowance.enter(1)
        except LinkLost as lost:
            raised.append(lost)

    thread = threading.Thread(target=enter, daemon=True)
    thread.start()
    allowance.close()
    wait_until(lambda: not thread.is_alive(), "the wait ends", WAIT_S)
    assert raised
    with pytest.raises(LinkLost):
        allowance.enter(0)
