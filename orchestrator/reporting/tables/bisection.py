"""Draw a bisection."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.domain.bisection import TRIALS_FEWEST, TRIALS_MOST, Answer, Bisection, Outcome, Step
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.tables.columns import Column, plain_table
from orchestrator.reporting.text import ABSENT, clean

_STYLES: Mapping[Answer, str] = {Answer.GOOD: "green", Answer.BAD: "bold red", Answer.UNJUDGED: "yellow"}
_COLUMNS = (
    Column("step", right=True),
    Column("candidate", fold=True),
    Column("answer"),
    Column("ratio"),
    Column("n", right=True),
    Column("run", spare=True),
    Column("reason", prose=True),
)


def expectation(search: Bisection) -> str:
    """Return the line for before the first step."""
    steps = search.steps_expected
    words = "1 step" if steps == 1 else f"{steps} steps"
    return (
        f"{len(search.candidates)} candidates: at most {words}, each of {TRIALS_FEWEST} to {TRIALS_MOST} trials a side "
        f"on {clean(search.regression.series.device)}"
    )


def step_line(search: Bisection) -> str:
    """Return the line for after the newest step."""
    step = search.steps[-1]
    name = clean(search.candidates[step.index])
    # A step without figures has no ratio, and no sign for an absent one at the end of a sentence.
    return f"step {len(search.steps)}: {name}: {step.answer.value} ({clean(step.reason)}) {_ratio(step)}".rstrip(
        f" {ABSENT}"
    )


def bisection_view(search: Bisection) -> RenderableType:
    """Return the steps, and the first bad candidate."""
    one = search.regression
    title = Text(clean(f"bisect regression {one.id} · {one.metric} {one.direction.value} · {one.series.label}"))
    rows = (_row(search, place, step) for place, step in enumerate(search.steps, 1))
    return Group(
        title, Text(expectation(search), style="dim"), Text(), plain_table(_COLUMNS, rows), Text(), _end(search)
    )


def _row(search: Bisection, place: int, step: Step) -> tuple[Text | str | None, ...]:
    trials = step.figures and step.figures.candidate_trials
    return (
        str(place),
        search.candidates[step.index],
        Text(step.answer.value, style=_STYLES[step.answer]),
        _ratio(step),
        None if trials is None else str(trials),
        step.run,
        step.reason,
    )


def _ratio(step: Step) -> str:
    if step.figures is None:
        return ABSENT
    return f"{numbers.factor(step.figures.ratio)} {numbers.interval(step.figures.low, step.figures.high)}".rstrip()


def _end(search: Bisection) -> Text:
    if search.outcome is Outcome.NOT_REPRODUCED:
        return Text(clean(f"not reproduced: {search.candidates[-1]}: {search.reason}"), style="yellow")
    if search.outcome is Outcome.CUT_OFF:
        return Text(clean(f"cut off: {search.reason}; the same command goes on"), style="yellow")
    if len(search.suspects) == 1:
        return Text(clean(f"first bad: {search.suspects[0]}, after {search.last_good}"), style="bold")
    return Text(clean(f"first bad: one of {', '.join(search.suspects)}, after {search.last_good}"), style="bold")
