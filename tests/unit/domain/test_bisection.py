"""The search for the first bad candidate: it ends, within the steps that it promises, at the right one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.analysis.confirmation import LOOKS
from orchestrator.domain.bisection import (
    TRIALS_FEWEST,
    TRIALS_MOST,
    Answer,
    Bisection,
    Outcome,
    Replaces,
    Step,
    next_index,
    steps_expected,
)
from tests.unit.domain.test_regression import FOUND


def search(candidates: int, first_bad: int, unjudged: frozenset[int] = frozenset()) -> Bisection:
    """Search where every candidate from `first_bad` on is bad, except those that cannot be judged."""
    names = tuple(f"build-{index}" for index in range(candidates))
    found = Bisection(FOUND, Replaces.ARTIFACT, names, (), Outcome.FOUND)
    while (index := next_index(candidates, found.answers)) is not None:
        assert index not in found.answers, "no candidate is measured twice"
        answer = Answer.BAD if index >= first_bad else Answer.GOOD
        step = Step(index, Answer.UNJUDGED if index in unjudged else answer, "")
        found = Bisection(FOUND, Replaces.ARTIFACT, names, (*found.steps, step), Outcome.FOUND)
    return found


@given(st.data())
def test_the_first_bad_candidate_is_found_within_the_promised_steps(data: st.DataObject) -> None:
    candidates = data.draw(st.integers(2, 400))
    first_bad = data.draw(st.integers(1, candidates - 1))
    found = search(candidates, first_bad)
    assert found.suspects == (f"build-{first_bad}",)
    assert found.last_good == f"build-{first_bad - 1}"
    assert len(found.steps) <= found.steps_expected


@given(st.data())
def test_candidates_that_cannot_be_judged_stay_suspects_and_no_others_do(data: st.DataObject) -> None:
    candidates = data.draw(st.integers(2, 60))
    first_bad = data.draw(st.integers(1, candidates - 1))
    unjudged = data.draw(st.frozensets(st.integers(1, candidates - 2))) if candidates > 2 else frozenset()
    found = search(candidates, first_bad, unjudged)
    assert f"build-{first_bad}" in found.suspects
    *passed_by, bad = found.suspects
    assert found.answers[int(bad.partition("-")[2])] is Answer.BAD
    assert {int(name.partition("-")[2]) for name in passed_by} <= unjudged


@pytest.mark.parametrize(("candidates", "steps"), [(2, 1), (3, 2), (4, 3), (5, 3), (6, 4), (9, 4), (10, 5), (33, 6)])
def test_so_many_steps_are_expected_and_no_fewer_always_do(candidates: int, steps: int) -> None:
    assert steps_expected(candidates) == steps
    assert max(len(search(candidates, bad).steps) for bad in range(1, candidates)) == steps


def test_what_the_last_candidate_does_not_show_is_not_searched_for() -> None:
    assert next_index(5, {4: Answer.GOOD}) is None
    assert next_index(5, {4: Answer.UNJUDGED}) is None
    assert next_index(1, {}) is None


def test_the_trials_of_a_step_are_those_of_a_confirmation() -> None:
    assert (LOOKS[0], LOOKS[-1]) == (TRIALS_FEWEST, TRIALS_MOST)
