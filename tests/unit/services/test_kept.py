"""What pages keep for a moment: one question for many readers, never an answer from before a decision."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.domain.errors import StoreError
from orchestrator.services.pages.kept import OLD_S, Kept

WAIT_S = 10.0


class Clock:
    """Play a clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(clock: Clock) -> Kept:
    return Kept(clock)


def test_a_fresh_answer_is_not_asked_for_again(kept: Kept, clock: Clock) -> None:
    assert kept.get("a", 5.0, lambda: 1) == 1
    clock.now += 4.9
    assert kept.get("a", 5.0, lambda: 2) == 1
    assert kept.get("b", 5.0, lambda: 3) == 3


def test_an_answer_that_serves_no_more_is_waited_for(kept: Kept, clock: Clock) -> None:
    kept.get("a", 5.0, lambda: 1)
    clock.now += 5.0 + OLD_S
    assert kept.get("a", 5.0, lambda: 2) == 2


def test_a_costly_answer_is_fresh_for_longer(kept: Kept, clock: Clock) -> None:
    def costly(seconds: float) -> str:
        clock.now += seconds
        return "costly"

    assert kept.get("a", 1.0, lambda: costly(0.5)) == "costly"
    clock.now += 4.9
    assert kept.get("a", 1.0, lambda: "again") == "costly"
    assert kept.get("b", 1.0, lambda: costly(60.0)) == "costly"
    clock.now += 10.0 + OLD_S
    assert kept.get("b", 1.0, lambda: "again") == "again"


def test_a_patient_reader_gets_the_fresh_answer(clock: Clock) -> None:
    kept = Kept(clock, patience_s=WAIT_S)
    kept.get("a", 5.0, lambda: 1)
    clock.now += 7.0
    assert kept.get("a", 5.0, lambda: 2) == 2


def test_a_reader_gets_the_old_answer_while_one_thread_asks_for_another(kept: Kept, clock: Clock) -> None:
    kept.get("a", 5.0, lambda: 1)
    clock.now += 7.0
    asked, go_on, times = threading.Event(), threading.Event(), []

    def ask() -> int:
        times.append(1)
        asked.set()
        assert go_on.wait(WAIT_S)
        return 2

    assert kept.get("a", 100.0, ask) == 1
    assert asked.wait(WAIT_S)
    assert kept.get("a", 100.0, ask) == 1  # and asks no second time
    go_on.set()
    # The turn ends with the answer: whoever waits for the turn finds the answer.
    clock.now += OLD_S - 2.0
    assert kept.get("a", 5.0, lambda: 3) == 2
    assert len(times) == 1


def test_an_error_is_told_and_not_kept(kept: Kept, clock: Clock) -> None:
    def fail() -> int:
        raise StoreError("the database is away")

    with pytest.raises(StoreError):
        kept.get("a", 5.0, fail)
    assert kept.get("a", 5.0, lambda: 1) == 1
    clock.now += 7.0
    patient = Kept(clock, patience_s=WAIT_S)
    patient.get("a", 5.0, lambda: 1)
    clock.now += 7.0
    with pytest.raises(StoreError):
        patient.get("a", 5.0, fail)  # an older answer does not hide that the database is away


def test_readers_with_one_question_wait_for_one_answer(kept: Kept) -> None:
    readers = 8
    together, times = threading.Barrier(readers), []

    def read() -> int:
        together.wait(WAIT_S)
        return kept.get("a", 5.0, lambda: len(times.append(1) or times))  # type: ignore[func-returns-value]

    with ThreadPoolExecutor(readers) as pool:
        answers = [one.result(WAIT_S) for one in [pool.submit(read) for _ in range(readers)]]
    assert answers == [1] * readers


def test_other_questions_go_on_beside(kept: Kept) -> None:
    with ThreadPoolExecutor(1) as pool:
        go_on = threading.Event()
        slow = pool.submit(kept.get, "slow", 5.0, lambda: go_on.wait(WAIT_S))
        assert kept.get("quick", 5.0, lambda: 1) == 1
        go_on.set()
        assert slow.result(WAIT_S) is True


def test_what_was_read_before_a_decision_does_not_outlive_the_decision(kept: Kept) -> None:
    kept.get("a", 5.0, lambda: "before")
    kept.forget()
    assert kept.get("a", 5.0, lambda: "after") == "after"

    def decided_meanwhile() -> str:
        kept.forget()
        return "read before"

    assert kept.get("b", 5.0, decided_meanwhile) == "read before"
    assert kept.get("b", 5.0, lambda: "after") == "after"


def test_only_so_many_answers_are_kept(kept: Kept) -> None:
    for number in range(1_000):
        kept.get(number, 5.0, lambda: "x")
    assert kept.get(0, 5.0, lambda: "again") == "again"
    assert kept.get(999, 5.0, lambda: "again") == "x"
    assert len(kept._turns) <= 300
