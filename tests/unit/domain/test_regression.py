"""A regression's life: what a night may do, what a person may do, and that an end is an end."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.regression import OPEN, STANDING, Actor, Direction, Figures, Move, Regression, moved, moves
from orchestrator.domain.regression import RegressionState as State
from orchestrator.domain.series import Series

SERIES = Series(7, "pi-03", "digits", "int8", "tflite-runtime==2.14.0", {"threads": 2, "xnnpack": True})
FOUND = Regression(12, "lab", SERIES, "latency_ns", Direction.ROSE, State.DETECTED, "run-2", "night-1")
ATTEMPTS = st.lists(
    st.builds(
        Move,
        st.sampled_from(State),
        st.sampled_from(Actor),
        st.just("ann@ws1"),
        night=st.sampled_from(["night-1", "night-2"]),
        figures=st.none() | st.builds(Figures, st.floats(0.5, 2)),
    ),
    max_size=8,
)


def life(attempts: list[Move]) -> list[Regression]:
    """Return the regression after each attempt, those against the rules left out."""
    lived = [FOUND]
    for move in attempts:
        try:
            lived.append(moved(lived[-1], move))
        except ConfigError:
            assert move.to not in moves(lived[-1].state, move.actor)
    return lived


@given(ATTEMPTS)
def test_no_regression_leaves_an_end(attempts: list[Move]) -> None:
    states = [one.state for one in life(attempts)]
    for before, after in pairwise(states):
        assert before in OPEN or before is after


@given(ATTEMPTS)
def test_only_a_night_confirms_and_nothing_is_accepted_or_fixed_before(attempts: list[Move]) -> None:
    lived = life(attempts)
    for before, after in pairwise(lived):
        if after.state in (State.ACCEPTED, State.FIXED, State.ACKNOWLEDGED) and before is not after:
            assert before.state in STANDING
        assert (after.confirmed_night is None) <= (after.state not in STANDING | {State.ACCEPTED, State.FIXED})
        assert before.confirmed_night in (None, after.confirmed_night), "confirmed once"


@given(ATTEMPTS)
def test_a_move_can_be_repeated(attempts: list[Move]) -> None:
    for move in attempts:
        for one in life(attempts):
            if move.to in moves(one.state, move.actor):
                assert moved(moved(one, move), move) == moved(one, move)


def test_a_night_and_a_person_never_do_the_same() -> None:
    for state in State:
        assert not moves(state, Actor.NIGHT) & moves(state, Actor.PERSON)
        assert bool(moves(state, Actor.PERSON)) == (state in OPEN)


def test_a_confirmation_brings_its_figures() -> None:
    figures = Figures(1.05, 1.04, 1.06, 10, 10)
    night = Move(State.CONFIRMED, Actor.NIGHT, "ann@ws1", night="night-2", figures=figures, baseline_run="run-1")
    after = moved(FOUND, night)
    assert (after.figures, after.baseline_run, after.candidate_run) == (figures, "run-1", "run-2")
    assert (after.first_night, after.confirmed_night) == ("night-1", "night-2")
    known = moved(after, Move(State.ACKNOWLEDGED, Actor.PERSON, "bob@ws2"))
    assert (known.figures, known.confirmed_night) == (figures, "night-2")
    worse = Figures(1.5, 1.4, 1.6, 10, 10)
    again = moved(known, replace(night, night="night-9", figures=worse))
    assert (again.state, again.figures, again.confirmed_night) == (State.CONFIRMED, worse, "night-2")


def test_what_is_refused_says_what_is_possible() -> None:
    with pytest.raises(ConfigError) as refused:
        moved(FOUND, Move(State.FIXED, Actor.PERSON, "bob@ws2"))
    assert refused.value.message == "regression 12 is detected: a person cannot make it fixed"
    assert refused.value.hint == "possible: invalid"


def test_a_series_has_its_name_in_words() -> None:
    assert SERIES.label == "pi-03 · digits · int8 · tflite-runtime==2.14.0 · threads=2 · xnnpack=true"
