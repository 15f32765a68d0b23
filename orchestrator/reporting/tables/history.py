"""Draw baselines, regressions and annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.domain.annotation import Annotation
from orchestrator.domain.baseline import Baseline
from orchestrator.domain.regression import Figures, Regression, RegressionState
from orchestrator.domain.regression_details import RegressionDetails
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.tables.columns import Column, PlainTable, plain_table
from orchestrator.reporting.text import ABSENT, clean

_STYLES: Mapping[RegressionState, str] = {
    RegressionState.DETECTED: "yellow",
    RegressionState.CONFIRMED: "bold red",
    RegressionState.ACKNOWLEDGED: "yellow",
    RegressionState.ACCEPTED: "",
    RegressionState.FIXED: "green",
    RegressionState.INVALID: "dim",
    RegressionState.DISMISSED: "dim",
}
_LEVELS = (
    Column("baseline"),
    Column("run"),
    Column("cells", fold=True),
    Column("kind"),
    Column("reason", prose=True),
    Column("by", fold=True, spare=True),
    Column("since", spare=True),
    Column("until", spare=True),
)
_REGRESSIONS = (
    Column("id", right=True),
    Column("state"),
    Column("cell", fold=True),
    Column("metric"),
    Column("ratio"),
    Column("nightly", fold=True, spare=True),
    Column("since", spare=True),
)
_EVENTS = (Column("when"), Column("state"), Column("who", fold=True), Column("reason", prose=True), Column("night"))
_ANNOTATIONS = (
    Column("day"),
    Column("about", fold=True),
    Column("text", prose=True),
    Column("who", fold=True, spare=True),
)


def level_table(levels: Sequence[Baseline]) -> PlainTable:
    """Return a line for each level."""
    return plain_table(_LEVELS, map(_level, levels))


def _level(level: Baseline) -> tuple[str | None, ...]:
    cells = "all" if level.series is None else level.series.label
    return (
        level.name,
        level.run,
        cells if level.metric is None else f"{cells}, {level.metric}",
        level.kind.value,
        level.reason,
        level.pinned_by,
        numbers.told(level.pinned_at),
        None if level.superseded_at is None else numbers.told(level.superseded_at),
    )


def regression_table(regressions: Sequence[Regression]) -> PlainTable:
    """Return a line for each regression."""
    return plain_table(_REGRESSIONS, map(_regression, regressions))


def _regression(one: Regression) -> tuple[Text | str | None, ...]:
    return (
        str(one.id),
        Text(one.state.value, style=_STYLES[one.state]),
        one.series.label,
        one.metric,
        _ratio(one.figures),
        one.nightly,
        one.confirmed_night or one.first_night,
    )


def _ratio(figures: Figures | None) -> str:
    if figures is None:
        return ABSENT
    return f"{numbers.factor(figures.ratio)} {numbers.interval(figures.low, figures.high)}".rstrip()


def regression_view(details: RegressionDetails) -> RenderableType:
    """Return a regression with its life, and the annotations of the time."""
    one = details.regression
    title = Text.assemble((f"regression {one.id} ", "bold"), (one.state.value, _STYLES[one.state]))
    title.append(" · ").append(clean(f"{one.metric} {one.direction.value} · {one.series.label}"))
    lines = [title, Text(clean(_figures(one)))]
    events = (
        (numbers.told(event.at), event.state.value, event.who, event.reason, event.night) for event in details.events
    )
    parts: list[RenderableType] = [*lines, Text(), plain_table(_EVENTS, events)]
    if details.annotations:
        parts += [Text(), annotation_table(details.annotations)]
    return Group(*parts)


def _figures(one: Regression) -> str:
    text = f"candidate {one.candidate_run} over baseline {one.baseline_run or 'of its history'}: {_ratio(one.figures)}"
    figures = one.figures
    if figures is None or figures.baseline_trials is None:
        return text
    return f"{text} from {figures.candidate_trials} and {figures.baseline_trials} trials"


def annotation_table(annotations: Sequence[Annotation]) -> PlainTable:
    """Return a line for each annotation."""
    return plain_table(_ANNOTATIONS, map(_annotation, annotations))


def _annotation(note: Annotation) -> tuple[str, ...]:
    first, last = note.first_day.isoformat(), note.last_day.isoformat()
    about = note.series.label if note.series is not None else note.device or "all"
    return (
        first if first == last else f"{first}..{last}",
        about if note.run is None else f"{about}, run {note.run}",
        note.text,
        note.who,
    )
