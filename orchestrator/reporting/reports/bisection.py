"""Declare a bisection: the candidates, the steps, and the first bad candidate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.domain.bisection import Answer, Bisection, Outcome, Replaces, Step
from orchestrator.reporting.report import Report
from orchestrator.reporting.reports.regressions import FIGURES, REGRESSION
from orchestrator.reporting.shape import INTEGER, NUMBER, TEXT, Key, ListOf, OneOf, OrNull, Shape, View

if TYPE_CHECKING:
    from rich.console import RenderableType

STEP = View[Step](
    "bisection-step",
    "A candidate beside the good one.",
    (
        Key("index", INTEGER, "The candidate's place in the list, from 0.", lambda step: step.index),
        Key("answer", OneOf(Answer), "What the step found.", lambda step: step.answer),
        Key("reason", TEXT, "Why.", lambda step: step.reason),
        Key("run", OrNull(TEXT), "The run; null where equal bytes said it all.", lambda step: step.run),
        Key("figures", OrNull(FIGURES), "The candidate over the good one.", lambda step: step.figures),
    ),
)
BISECTION = View[Bisection](
    "bisection",
    "The search for the first bad candidate of a list.",
    (
        Key("regression", REGRESSION, "The regression.", lambda search: search.regression),
        Key("replaces", OneOf(Replaces), "What the candidates take the place of.", lambda search: search.replaces),
        Key("candidates", ListOf(TEXT), "The candidates, the good one first.", lambda search: search.candidates),
        Key("steps_expected", INTEGER, "How many steps a search takes at most.", lambda search: search.steps_expected),
        Key("steps", ListOf(STEP), "The steps, in the order of the search.", lambda search: search.steps),
        Key("outcome", OneOf(Outcome), "How the search ended.", lambda search: search.outcome),
        Key("reason", OrNull(TEXT), "Why nothing was found.", lambda search: search.reason),
        Key("last_good", OrNull(TEXT), "The last candidate known to be good.", lambda search: search.last_good),
        Key(
            "suspects",
            ListOf(TEXT),
            "The first bad candidate; several where those in between cannot be judged.",
            lambda search: search.suspects,
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class _Line:
    """Hold a step with the search, for the candidate's name."""

    search: Bisection
    step: Step


_ROW = View[_Line](
    "bisection-line",
    "A candidate beside the good one.",
    (
        Key("index", INTEGER, "The candidate's place in the list, from 0.", lambda line: line.step.index),
        Key("candidate", TEXT, "The candidate.", lambda line: line.search.candidates[line.step.index]),
        Key("answer", TEXT, "What the step found.", lambda line: line.step.answer.value),
        Key("reason", TEXT, "Why.", lambda line: line.step.reason),
        Key("run", OrNull(TEXT), "The run.", lambda line: line.step.run),
        Key(
            "ratio",
            OrNull(NUMBER),
            "The candidate over the good one.",
            lambda line: line.step.figures and line.step.figures.ratio,
        ),
        Key(
            "ratio_low",
            OrNull(NUMBER),
            "The interval's lower end.",
            lambda line: line.step.figures and line.step.figures.low,
        ),
        Key(
            "ratio_high",
            OrNull(NUMBER),
            "The interval's upper end.",
            lambda line: line.step.figures and line.step.figures.high,
        ),
    ),
)


def _lines(search: Bisection) -> Iterator[_Line]:
    return (_Line(search, step) for step in search.steps)


BISECTED = Shape[Bisection](BISECTION, _ROW, _lines)


def bisection_report(search: Bisection) -> Report:
    """Return a bisection as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.bisection import bisection_view

        return bisection_view(search)

    return Report(search, BISECTED, draw)
