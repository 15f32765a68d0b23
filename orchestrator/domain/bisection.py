"""Search a list of candidates for the first bad candidate, by halves. The first candidate is good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the help of `bisect` names the enumerations below, and waits for no regressions
    from orchestrator.domain.regression import Figures, Regression

TRIALS_FEWEST, TRIALS_MOST = 5, 30
"""How many trials a side a step has: those of a confirmation's first and last look."""


class Replaces(StrEnum):
    """Name the part of a regression's cell to be replaced by a candidate."""

    ARTIFACT = "artifact"
    RUNTIME = "runtime"
    PROGRAM = "program"


class Answer(StrEnum):
    """Answer for a step. `unjudged` is for a candidate without a value, or left open by the last look."""

    GOOD = "good"
    BAD = "bad"
    UNJUDGED = "unjudged"


class Outcome(StrEnum):
    """Say how a bisection ended.

    `found`: the first bad candidate, or a few suspects. `not-reproduced`: the last candidate does not show the
    regression. `cut-off`: a step has no results, and the same command goes on.
    """

    FOUND = "found"
    NOT_REPRODUCED = "not-reproduced"
    CUT_OFF = "cut-off"


@dataclass(frozen=True, slots=True)
class Step:
    """Hold a step: the candidate with `index` beside the first candidate. `run` is None for bytes of another step."""

    index: int
    answer: Answer
    reason: str
    run: str | None = None
    figures: Figures | None = None


@dataclass(frozen=True, slots=True)
class Bisection:
    """Hold a bisection, whole or not. `candidates` are in the order of the file, from good to bad.

    `steps_expected` counts the steps of a search without an unjudged candidate.
    """

    regression: Regression
    replaces: Replaces
    candidates: tuple[str, ...]
    steps: tuple[Step, ...]
    outcome: Outcome
    reason: str | None = None

    @property
    def steps_expected(self) -> int:
        """Return the largest number of steps of a search, if every candidate can be judged."""
        return steps_expected(len(self.candidates))

    @property
    def answers(self) -> Mapping[int, Answer]:
        """Return the answers by index."""
        return {step.index: step.answer for step in self.steps}

    @property
    def suspects(self) -> tuple[str, ...]:
        """Return the candidates with the first bad candidate among them, none before the end of the search."""
        if self.outcome is not Outcome.FOUND:
            return ()
        good, bad = bounds(len(self.candidates), self.answers)
        return self.candidates[good + 1 : bad + 1]

    @property
    def last_good(self) -> str | None:
        """Return the last candidate known to be good, or None before the end of the search."""
        if self.outcome is not Outcome.FOUND:
            return None
        return self.candidates[bounds(len(self.candidates), self.answers)[0]]


def steps_expected(candidates: int) -> int:
    """Return the most steps of a search: a step to see the regression again, then a step for each halving."""
    # Each of n - 1 candidates may be the first bad one, and ceil(log2(n - 1)) halvings tell which.
    return 1 + (candidates - 2).bit_length() if candidates > 1 else 0


def next_index(candidates: int, answers: Mapping[int, Answer]) -> int | None:
    """Return the candidate to try next, or None at the end of the search.

    The last candidate comes first: a regression absent there need not be searched for. Unjudged candidates are passed
    by.
    """
    last = candidates - 1
    if last not in answers:
        return last if last > 0 else None
    if answers[last] is not Answer.BAD:
        return None
    good, bad = bounds(candidates, answers)
    between = [index for index in range(good + 1, bad) if index not in answers]
    # The index decides between equals: a search that goes on must ask for the same steps.
    return min(between, key=lambda index: (abs(2 * index - good - bad), index), default=None)


def bounds(candidates: int, answers: Mapping[int, Answer]) -> tuple[int, int]:
    """Return the last good and the first bad index. The first candidate is good, and the last is bad."""
    bad = min((index for index, answer in answers.items() if answer is Answer.BAD), default=candidates - 1)
    good = max((index for index, answer in answers.items() if answer is Answer.GOOD and index < bad), default=0)
    return good, bad
