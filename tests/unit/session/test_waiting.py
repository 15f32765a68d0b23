"""How long a device is waited for, by a clock that steps: a second passes where a script says so, and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.errors import LinkLost, NoProgress
from orchestrator.session.waiting import SIGNS_MAX, AnswerTime, RecordTime
from orchestrator.transport.base import BYTES_PER_S_MIN

TIMEOUT_S = 60.0
Piece = tuple[float, int]
"""Seconds until so many bytes come."""


class Line:
    """A link that brings pieces, each after its time. `frozen_s` passes in each read without the link's doing."""

    def __init__(self, pieces: Sequence[Piece], frozen_s: float = 0.0) -> None:
        self.now = 0.0
        self._pieces = list(pieces)
        self._frozen_s = frozen_s

    def clock(self) -> float:
        return self.now

    def read(self, size: int, timeout_s: float) -> bytes:
        after_s, count = self._pieces[0] if self._pieces else (math.inf, 0)
        self.now += self._frozen_s
        if after_s > timeout_s:
            self.now += timeout_s
            raise LinkLost(f"nothing came for {timeout_s:g} s")
        self.now += after_s
        self._pieces.pop(0)
        return b"x" * min(count, size)

    def take(self, count: int, timeout_s: float = TIMEOUT_S) -> AnswerTime:
        """Read an answer of so many bytes, as a client does."""
        time = AnswerTime(timeout_s, self.clock)
        while count > 0:
            count -= len(time.read(self.read, 1 << 16))
        return time


def test_a_device_that_drips_is_given_up_though_a_byte_comes_each_second() -> None:
    line = Line([(1.0, 1)] * 10_000)
    with pytest.raises(LinkLost, match="no whole answer came within 60 s, but 6"):
        line.take(5000)
    assert TIMEOUT_S <= line.now <= TIMEOUT_S + 1.0


def test_a_device_that_says_nothing_is_said_to_be_silent() -> None:
    with pytest.raises(LinkLost, match="nothing came for 60 s"):
        Line([]).take(1)


def test_an_answer_that_comes_whole_at_the_last_moment_is_heard() -> None:
    assert Line([(TIMEOUT_S - 0.1, 100)]).take(100).waited_s == pytest.approx(TIMEOUT_S - 0.1)


def test_many_bytes_over_a_slow_link_take_their_time() -> None:
    count = 32 << 20
    line = Line([(8.0, 8 * BYTES_PER_S_MIN)] * (count // (8 * BYTES_PER_S_MIN)))
    line.take(count)
    assert line.now > 100 * TIMEOUT_S


@pytest.mark.parametrize("frozen_s", [100.0, 100_000.0])
def test_a_controller_that_stood_still_hears_what_came_meanwhile(frozen_s: float) -> None:
    line = Line([(0.0, 50_000), (0.0, 50_000), (1.0, 10)], frozen_s)
    line.take(100_010)


@given(st.lists(st.tuples(st.floats(0, 120), st.integers(1, 1 << 16)), max_size=60), st.integers(1, 1 << 20))
def test_no_answer_takes_longer_than_its_bytes_allow(pieces: Sequence[Piece], count: int) -> None:
    line = Line(pieces)
    try:
        time = line.take(count)
    except LinkLost:
        pass
    else:
        assert time.waited_s == pytest.approx(line.now)
    brought = sum(size for _, size in pieces)
    assert line.now <= TIMEOUT_S + brought / BYTES_PER_S_MIN + 1e-6


@given(st.lists(st.floats(0, TIMEOUT_S / 4), min_size=1, max_size=3), st.floats(0, TIMEOUT_S / 4))
def test_an_answer_within_its_time_is_never_refused(waits: Sequence[float], first_s: float) -> None:
    line = Line([(first_s, 1), *((wait_s, 1) for wait_s in waits)])
    line.take(1 + len(waits))


# ---- The next record of a log


def test_patience_ends_with_the_plan_and_not_before() -> None:
    patience = RecordTime(300.0, 15.0)
    for _ in range(19):
        patience.note_wait(15.0)
        patience.note_sign()
    patience.note_wait(15.0)
    with pytest.raises(NoProgress, match="no record for 300 s, though no step of the plan may take longer than 300 s"):
        patience.note_sign()


def test_a_record_begins_a_new_count() -> None:
    patience = RecordTime(300.0, 15.0)
    for _ in range(1000):
        patience.note_wait(299.0)
        patience.note_sign()
        patience.note_record()


def test_waits_over_several_connections_are_added_up() -> None:
    patience = RecordTime(300.0, 15.0)
    for _ in range(7):
        patience.check()
        patience.note_wait(45.0)  # and then the link is lost, each time
    with pytest.raises(NoProgress):
        patience.check()


def test_a_controller_that_was_frozen_for_a_day_takes_the_signs_of_that_day_for_no_silence() -> None:
    patience = RecordTime(300.0, 15.0)
    for _ in range(24 * 3600 // 15):
        patience.note_sign()


def test_signs_of_life_without_end_are_no_life() -> None:
    patience = RecordTime(300.0, 15.0)
    for _ in range(SIGNS_MAX + 300 // 15):
        patience.note_sign()
    with pytest.raises(NoProgress, match="signs of life without a record"):
        patience.note_sign()
