"""Who is connected to when: turns on this machine and at each address, and whose time runs meanwhile."""

from __future__ import annotations

import pickle
import threading
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.errors import Unreachable
from orchestrator.transport import admission
from orchestrator.transport.admission import (
    AT_ADDRESS_FIRST,
    OPENING_S,
    SHARERS_MAX,
    SLOW_S,
    Gate,
    Turn,
    gate_of_this_process,
)
from orchestrator.transport.base import ARRIVED, Asker

FIRST = 16
WAIT_S = 20.0


@dataclass
class FakeClock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def gate(clock: FakeClock) -> Gate:
    return Gate(FIRST, clock)


def enter(gate: Gate, count: int, door: str | None = None) -> list[Turn]:
    """Let so many devices ask for a turn, each at its own address if no other is named."""
    return [gate.enter(f"pi-{number}", door or f"10.0.0.{number}") for number in range(count)]


def called(turns: list[Turn]) -> int:
    return sum(turn.called.is_set() for turn in turns)


def test_as_many_begin_as_this_machine_can_serve(gate: Gate) -> None:
    turns = enter(gate, 100)

    assert [turn.called.is_set() for turn in turns] == [True] * FIRST + [False] * (100 - FIRST)


def test_each_that_is_done_makes_room_for_the_one_that_waits_longest(gate: Gate) -> None:
    turns = enter(gate, FIRST + 2)

    gate.leave(turns[3], succeeded=False)

    assert turns[FIRST].called.is_set()
    assert not turns[FIRST + 1].called.is_set()


def test_those_behind_a_full_address_let_others_pass(gate: Gate) -> None:
    behind = enter(gate, FIRST, door="gateway")
    beside = enter(gate, FIRST)

    assert called(behind) == AT_ADDRESS_FIRST
    assert called(beside) == FIRST - AT_ADDRESS_FIRST


def test_those_that_have_come_further_go_first(gate: Gate) -> None:
    turns = enter(gate, 100)

    started = gate.enter("pi-0", stage=ARRIVED)
    gate.leave(turns[0], succeeded=True)

    assert started.called.is_set()
    assert called(turns) == FIRST


def test_a_device_that_is_off_keeps_nobody_waiting_for_long(gate: Gate, clock: FakeClock) -> None:
    turns = enter(gate, 2 * FIRST)

    clock.now += OPENING_S
    gate.look()

    assert called(turns) == 2 * FIRST


def test_nor_does_one_that_is_slow_after_it_was_reached(gate: Gate, clock: FakeClock) -> None:
    turns = enter(gate, 2 * FIRST)
    for turn in turns[:FIRST]:
        turn.opened()

    clock.now += SLOW_S / 2
    gate.look()
    assert called(turns) == FIRST

    clock.now += SLOW_S / 2
    gate.look()
    assert called(turns) == 2 * FIRST


def test_where_all_are_slow_none_is(gate: Gate, clock: FakeClock) -> None:
    """Otherwise a machine that is too busy would begin more and more of what makes it busy."""
    turns = enter(gate, 3 * FIRST)
    for turn in turns[:FIRST]:
        turn.opened()
    clock.now += SLOW_S - 0.01
    for turn in turns[:FIRST]:
        gate.leave(turn, succeeded=True)
    for turn in turns[FIRST : 2 * FIRST]:
        turn.opened()

    clock.now += 3 * SLOW_S
    gate.look()

    assert called(turns) == 2 * FIRST


def test_a_device_that_waits_for_its_turn_has_no_time_yet(gate: Gate, clock: FakeClock) -> None:
    turns = enter(gate, FIRST + 1)
    clock.now += 60.0
    gate.leave(turns[0], succeeded=True)

    turns[FIRST].opened()

    assert turns[FIRST].own_s() == 0.0


def test_the_time_of_one_that_is_alone_is_its_own(gate: Gate, clock: FakeClock) -> None:
    turn = gate.enter("pi", "10.0.0.1")
    turn.opened()

    clock.now += 1.5

    assert turn.own_s() == pytest.approx(1.5)


def test_several_share_the_time_in_which_they_make_each_other_slow(gate: Gate, clock: FakeClock) -> None:
    turns = enter(gate, 4)
    for turn in turns:
        turn.opened()
    clock.now += 1.0
    assert [turn.own_s() for turn in turns] == pytest.approx([0.25] * 4)

    for turn in turns[1:]:
        gate.leave(turn, succeeded=True)
    clock.now += 0.5

    assert turns[0].own_s() == pytest.approx(0.75)


def test_but_even_in_a_crowd_time_passes(gate: Gate, clock: FakeClock) -> None:
    turns = enter(gate, FIRST)
    for turn in turns:
        turn.opened()

    clock.now += 1.0

    assert turns[0].own_s() == pytest.approx(1.0 / SHARERS_MAX)
    assert gate.stretched(10.0) == 10.0 * SHARERS_MAX


def test_a_connection_that_does_not_come_about_takes_its_own_time(gate: Gate, clock: FakeClock) -> None:
    turns = enter(gate, FIRST)

    clock.now += 3.0

    assert turns[0].own_s() == 3.0


def test_a_refusal_at_a_crowded_address_lets_fewer_begin_there_and_not_elsewhere(gate: Gate) -> None:
    behind = enter(gate, FIRST, door="gateway")
    assert not behind[0].refused()

    for turn in behind[:AT_ADDRESS_FIRST]:
        gate.leave(turn, succeeded=False)

    assert called(behind[AT_ADDRESS_FIRST:]) == AT_ADDRESS_FIRST // 2
    assert called(enter(gate, FIRST)) == FIRST - AT_ADDRESS_FIRST // 2


def test_a_refusal_of_the_only_connection_is_told_from_others(gate: Gate) -> None:
    alone = gate.enter("pi-1", "gateway")
    assert alone.refused()
    gate.leave(alone, succeeded=False)

    first, second = enter(gate, 2)
    assert not first.refused()
    assert not second.refused()


def test_a_device_that_nobody_wants_any_more_leaves_the_queue(gate: Gate) -> None:
    turns = enter(gate, FIRST)
    outcome: list[Exception] = []
    asker = Asker()

    def wait() -> None:
        try:
            with gate.asked_by(asker), gate.turn("pi-late"):
                raise AssertionError("it was not to begin")
        except Unreachable as error:
            outcome.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    while waiting.is_alive():
        gate.dismiss(asker)
        waiting.join(0.01)

    assert len(outcome) == 1
    assert called(turns) == FIRST


def test_a_session_that_closes_leaves_the_turns_of_another_session_with_the_same_device(gate: Gate) -> None:
    enter(gate, FIRST)
    closing, staying = Asker(), Asker()
    with gate.asked_by(closing):
        dismissed = gate.enter("pi-03")
    with gate.asked_by(staying):
        waiting = gate.enter("pi-03")
    nobodys = gate.enter("pi-03")

    gate.dismiss(closing)

    assert [turn.dismissed for turn in (dismissed, waiting, nobodys)] == [True, False, False]


def test_all_of_a_herd_get_their_turn_and_never_too_many_at_once() -> None:
    gate, lock, most, now, done = Gate(FIRST), threading.Lock(), 0, 0, 0

    def come_in(number: int) -> None:
        nonlocal most, now, done
        with gate.turn(f"pi-{number}", "gateway") as turn:
            turn.opened()
            with lock:
                now += 1
                most = max(most, now)
            with lock:
                now -= 1
                done += 1

    threads = [threading.Thread(target=come_in, args=(number,)) for number in range(300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)

    assert done == 300
    assert most <= FIRST


def test_what_is_pickled_is_the_gate_of_the_process_that_unpickles_it(gate: Gate) -> None:
    assert pickle.loads(pickle.dumps(gate)) is gate_of_this_process()


@given(st.lists(st.tuples(st.sampled_from(["enter", "open", "refuse", "leave", "pass"]), st.integers(0, 50))))
def test_whatever_happens_everybody_is_called_in_the_end(events: list[tuple[str, int]]) -> None:
    clock = FakeClock()
    gate, turns, left = Gate(4, clock), list[Turn](), set[int]()
    for what, number in events:
        if what == "enter":
            turns.append(gate.enter(f"pi-{len(turns)}", None if number % 5 == 0 else f"door-{number % 3}", number % 4))
        elif what == "pass":
            clock.now += number / 10
        elif number < len(turns) and number not in left and turns[number].called.is_set():
            if what == "open":
                turns[number].opened()
            elif what == "refuse":
                turns[number].refused()
            else:
                gate.leave(turns[number], succeeded=True)
                left.add(number)

    for _ in turns:
        for number, turn in enumerate(turns):
            if number not in left and turn.called.is_set():
                gate.leave(turn, succeeded=True)
                left.add(number)

    assert left == set(range(len(turns)))


def test_an_askers_own_time_leaves_out_the_queue_and_the_share_of_others(gate: Gate, clock: FakeClock) -> None:
    others, asker = enter(gate, FIRST), Asker()
    with gate.asked_by(asker):
        turn = gate.enter("pi-late", "gateway")
    clock.now += 100.0
    for other in others:
        gate.leave(other, succeeded=True)
    clock.now += 1.0  # the turn is alone, and the connection is not open yet
    assert turn.called.is_set()
    turn.opened()
    clock.now += 0.5
    gate.leave(turn, succeeded=True)
    assert asker.waited_s == pytest.approx(100.0)

    with gate.asked_by(asker):
        turn = gate.enter("pi-late", "gateway")
    neighbour = gate.enter("pi-03", "elsewhere")
    for opening in (turn, neighbour):
        opening.opened()
    clock.now += 1.0
    gate.leave(turn, succeeded=True)
    assert asker.waited_s == pytest.approx(100.5)


def test_a_dismissed_asker_has_waited_for_others_all_the_time(gate: Gate, clock: FakeClock) -> None:
    enter(gate, FIRST)
    asker = Asker()
    with gate.asked_by(asker):
        turn = gate.enter("pi-late")
    clock.now += 7.0
    gate.dismiss(asker)
    gate.leave(turn, succeeded=False)
    assert asker.waited_s == pytest.approx(7.0)


def test_only_the_first_of_the_queue_looks_for_slow_turns_and_the_next_takes_its_place(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "LOOK_S", 0.01)
    looked: list[str] = []
    looked_often = threading.Semaphore(0)

    class WatchedGate(Gate):
        def look(self) -> None:
            looked.append(threading.current_thread().name)
            looked_often.release()
            super().look()

    gate = WatchedGate(1, clock)
    gate.enter("slow", "10.0.0.1").opened()
    done = threading.Semaphore(0)
    waits = threading.Semaphore(0)

    def come(number: int) -> None:
        with gate.asked_by(askers[number]):
            waits.release()
            try:
                with gate.turn(f"pi-{number}", f"10.0.1.{number}"):
                    pass
            except Unreachable:
                assert number == 0
        done.release()

    askers = [Asker() for _ in range(40)]
    for number in range(40):
        threading.Thread(target=come, args=(number,), name=f"pi-{number}", daemon=True).start()
        assert waits.acquire(timeout=WAIT_S)
        while len(gate._waiting) <= number:  # the queue has the order in which they came
            threading.Event().wait(0.001)
    for _ in range(20):
        assert looked_often.acquire(timeout=WAIT_S)
    assert set(looked) == {"pi-0"}

    gate.dismiss(askers[0])
    assert done.acquire(timeout=WAIT_S)
    looked.clear()
    while not looked:
        assert looked_often.acquire(timeout=WAIT_S)
    assert set(looked) == {"pi-1"}

    clock.now += 10 * SLOW_S
    for _ in range(39):
        assert done.acquire(timeout=WAIT_S)
