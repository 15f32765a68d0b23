"""How many may begin at once, by what came of those before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.transport.bounds import Bound, Pace


def succeed(bound: Bound, count: int, *, since: float, per_s: float) -> float:
    """Let so many succeed at a steady rate; return when the last one did."""
    for number in range(1, count + 1):
        bound.succeeded(since + number / per_s)
    return since + count / per_s


def test_an_address_gets_one_more_after_each_round_that_went_well() -> None:
    bound = Bound(8)

    succeed(bound, 8 + 9, since=0.0, per_s=10)

    assert bound.limit == 9


def test_a_refusal_halves_it_and_the_others_of_the_same_round_do_no_more() -> None:
    bound = Bound(8)

    for _ in range(4):
        bound.refused(began_at=1.0, now=2.0)
    assert bound.limit == 4

    bound.refused(began_at=2.5, now=3.0)
    assert bound.limit == 2


def test_one_at_a_time_is_always_allowed() -> None:
    bound = Bound(8)

    for second in range(10):
        bound.refused(began_at=second, now=second)

    assert bound.limit == 1


def test_this_machine_takes_twice_as_many_while_they_come_faster() -> None:
    pace = Pace(8)

    now = succeed(pace, 8, since=0.0, per_s=8)
    assert pace.limit == 16
    now = succeed(pace, 16, since=now, per_s=16)
    assert pace.limit == 32


def test_it_goes_back_once_they_come_no_faster_and_then_grows_one_by_one() -> None:
    pace = Pace(8)

    now = succeed(pace, 8, since=0.0, per_s=20)
    now = succeed(pace, 16, since=now, per_s=20)
    assert pace.limit == 8

    succeed(pace, 17, since=now, per_s=20)
    assert pace.limit == 9


def test_a_refusal_from_elsewhere_brings_it_back_to_where_it_began_at_most() -> None:
    pace = Pace(8)
    now = succeed(pace, 8, since=0.0, per_s=8)

    for second in range(5):
        pace.refused(began_at=now + second, now=now + second)

    assert pace.limit == 8


@given(first=st.integers(1, 64), events=st.lists(st.tuples(st.booleans(), st.floats(0.001, 10.0)), max_size=200))
def test_whatever_happens_somebody_gets_a_turn(first: int, events: list[tuple[bool, float]]) -> None:
    for bound in (Bound(first), Pace(first)):
        now = 0.0
        for went_well, after_s in events:
            began_at, now = now, now + after_s
            if went_well:
                bound.succeeded(now)
            else:
                bound.refused(began_at, now)
            assert bound.limit >= 1
