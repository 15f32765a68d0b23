"""The timetable is drawn from its seed, and has everything that a lab of its length is to go through."""

from __future__ import annotations

import pytest

from tests.endurance.timetable import LONG_MINUTES, PEOPLE, Fault, Kind, Timetable, draw


@pytest.mark.parametrize("seed", range(20))
def test_an_hour_has_every_fault_once_and_everybody_submits(seed: int) -> None:
    hour = draw(seed, 60)
    assert hour == draw(seed, 60)
    assert sorted(strike.fault for strike in hour.strikes) == sorted(Fault)
    assert {submit.person for submit in hour.submits} == set(PEOPLE)
    assert {submit.kind for submit in hour.submits} == {Kind.SHORT, Kind.NEEDY}
    assert len({submit.priority for submit in hour.submits}) > 1
    assert any(submit.window for submit in hour.submits)
    assert len(hour.overtakes) > 1
    assert len(hour.regulars) > 1
    assert_in_time(hour)


def test_a_few_minutes_have_the_same_faults() -> None:
    short = draw(7, 2)
    assert sorted(strike.fault for strike in short.strikes) == sorted(Fault)
    assert short.minutes < LONG_MINUTES
    assert len(short.overtakes) == len(short.regulars) == 1
    assert any(submit.window for submit in short.submits)
    assert_in_time(short)


def assert_in_time(timetable: Timetable) -> None:
    moments = [event.at_s for event in timetable.events]
    assert moments == sorted(moments)
    assert moments[0] >= 0
    assert moments[-1] < timetable.minutes * 60


def test_two_seeds_differ() -> None:
    assert draw(1, 60) != draw(2, 60)
