"""Declare regressions: a list, and a single regression with the steps of the life."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.domain.regression import Direction, Figures, Regression, RegressionEvent, RegressionState
from orchestrator.domain.regression_details import RegressionDetails
from orchestrator.reporting.report import Report
from orchestrator.reporting.reports.annotations import ANNOTATION
from orchestrator.reporting.reports.baselines import SERIES
from orchestrator.reporting.shape import INTEGER, NUMBER, TEXT, TIME, Key, ListOf, OneOf, OrNull, Shape, View

if TYPE_CHECKING:
    from rich.console import RenderableType

FIGURES = View[Figures](
    "regression-figures",
    "Candidate over baseline.",
    (
        Key("ratio", NUMBER, "The ratio.", lambda figures: figures.ratio),
        Key("low", OrNull(NUMBER), "The 95 % interval's lower end.", lambda figures: figures.low),
        Key("high", OrNull(NUMBER), "The interval's upper end.", lambda figures: figures.high),
        Key(
            "baseline_trials",
            OrNull(INTEGER),
            "How many trials of the baseline.",
            lambda figures: figures.baseline_trials,
        ),
        Key(
            "candidate_trials",
            OrNull(INTEGER),
            "How many trials of the candidate.",
            lambda figures: figures.candidate_trials,
        ),
    ),
)
EVENT = View[RegressionEvent](
    "regression-event",
    "A step in the life of a regression.",
    (
        Key("at", TIME, "When.", lambda event: event.at),
        Key("state", OneOf(RegressionState), "The state that it came to.", lambda event: event.state),
        Key("who", TEXT, "The person, or the controller of the night: USER@HOST.", lambda event: event.who),
        Key("reason", OrNull(TEXT), "Why.", lambda event: event.reason),
        Key("night", OrNull(TEXT), "The night that moved it; null for a person.", lambda event: event.night),
    ),
)
_KEYS: tuple[Key[Regression], ...] = (
    Key("id", INTEGER, "The regression's id.", lambda one: one.id),
    Key("nightly", TEXT, "The name in the nightly file.", lambda one: one.nightly),
    Key("state", OneOf(RegressionState), "Where it stands.", lambda one: one.state),
    Key("series", SERIES, "The series.", lambda one: one.series),
    Key("metric", TEXT, "The metric.", lambda one: one.metric),
    Key("direction", OneOf(Direction), "Where the metric's value went.", lambda one: one.direction),
    Key("figures", OrNull(FIGURES), "The figures; null before any are known.", lambda one: one.figures),
    Key("baseline_run", OrNull(TEXT), "The run of the baseline's trials.", lambda one: one.baseline_run),
    Key("candidate_run", TEXT, "The run of the candidate's trials.", lambda one: one.candidate_run),
    Key("first_night", TEXT, "The night that suspected the series first.", lambda one: one.first_night),
    Key("confirmed_night", OrNull(TEXT), "The night that confirmed it.", lambda one: one.confirmed_night),
)
REGRESSION = View[Regression]("regression", "A change of one metric of one series for the worse.", _KEYS)


@dataclass(frozen=True, slots=True)
class _Line:
    """Hold a regression with the figures at hand, if any."""

    one: Regression

    @property
    def figures(self) -> Figures | None:
        return self.one.figures


_ROW = View[_Line](
    "regression-line",
    "A regression.",
    (
        Key("id", INTEGER, "The regression's id.", lambda line: line.one.id),
        Key("nightly", TEXT, "The name in the nightly file.", lambda line: line.one.nightly),
        Key("state", TEXT, "Where it stands.", lambda line: line.one.state.value),
        Key("device", TEXT, "The device's name.", lambda line: line.one.series.device),
        Key("cell", TEXT, "The series in words.", lambda line: line.one.series.label),
        Key("metric", TEXT, "The metric.", lambda line: line.one.metric),
        Key("direction", TEXT, "Where the metric's value went.", lambda line: line.one.direction.value),
        Key("ratio", OrNull(NUMBER), "Candidate over baseline.", lambda line: line.figures and line.figures.ratio),
        Key("ratio_low", OrNull(NUMBER), "The interval's lower end.", lambda line: line.figures and line.figures.low),
        Key("ratio_high", OrNull(NUMBER), "The interval's upper end.", lambda line: line.figures and line.figures.high),
        Key("baseline_run", OrNull(TEXT), "The run of the baseline.", lambda line: line.one.baseline_run),
        Key("candidate_run", TEXT, "The run of the candidate.", lambda line: line.one.candidate_run),
        Key("first_night", TEXT, "The night that suspected it.", lambda line: line.one.first_night),
        Key("confirmed_night", OrNull(TEXT), "The night that confirmed it.", lambda line: line.one.confirmed_night),
    ),
)
DETAILS = View[RegressionDetails](
    "regression-details",
    "A regression with its life.",
    (
        Key("regression", REGRESSION, "The regression.", lambda details: details.regression),
        Key("events", ListOf(EVENT), "The steps of its life, in order.", lambda details: details.events),
        Key(
            "annotations",
            ListOf(ANNOTATION),
            "What people noted meanwhile about the series, its device or everything.",
            lambda details: details.annotations,
        ),
    ),
)
REGRESSION_LIST = Shape[Sequence[Regression]](
    ListOf(REGRESSION), _ROW, lambda regressions: [_Line(one) for one in regressions]
)
REGRESSION_SHOWN = Shape[RegressionDetails](DETAILS, _ROW, lambda details: [_Line(details.regression)])


def regressions_report(regressions: Sequence[Regression]) -> Report:
    """Return regressions as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.history import regression_table

        return regression_table(regressions)

    return Report(regressions, REGRESSION_LIST, draw)


def regression_report(details: RegressionDetails) -> Report:
    """Return a regression with the steps of the life as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.history import regression_view

        return regression_view(details)

    return Report(details, REGRESSION_SHOWN, draw)
