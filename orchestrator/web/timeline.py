"""Lay out a series over nights. Only numbers and places leave this module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.domain.series_history import SeriesHistory
from orchestrator.web.drawing import Tick, ticks

WIDTH, HEIGHT = 1100, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 1088, 22, 262
_DAY_TICKS = 7


@dataclass(frozen=True, slots=True)
class Dot:
    """Hold the place of a run's value, and of the ends of the interval; None without one. `place` counts points."""

    place: int
    x: float
    y: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Mark:
    """Hold a mark across the drawing: a change, a step or a note, by its place in the history's list."""

    place: int
    x: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """Hold a drawing of a history. `gaps` are the places of runs without a value."""

    dots: tuple[Dot, ...]
    line: str
    gaps: tuple[float, ...]
    baseline: float | None
    steps: tuple[Mark, ...]
    changes: tuple[Mark, ...]
    notes: tuple[Mark, ...]
    y_ticks: tuple[Tick, ...]
    x_ticks: tuple[tuple[float, datetime], ...]

    @property
    def x_form(self) -> str:
        """Return the form of the moments below the drawing: days, and the time of day where a day comes twice."""
        days = [at.date() for _, at in self.x_ticks]
        return "%Y-%m-%d" if len(set(days)) == len(days) else "%m-%d %H:%M"


def timeline(history: SeriesHistory) -> Timeline | None:
    """Return the drawing of a history, or None for one without any value."""
    known = [point for point in history.points if point.value is not None]
    if not known:
        return None
    ends = [end for point in known for end in (point.value, point.low, point.high) if end is not None]
    # The baseline may lie outside of all values, and must be seen.
    if history.baseline is not None and history.baseline.value is not None:
        ends.append(history.baseline.value)
    values = ticks(min(ends), max(ends))
    first, last = history.points[0].started_at, history.points[-1].started_at

    def across(at: datetime) -> float:
        # One run alone stands in the middle.
        span = (last - first).total_seconds()
        # Kept within: a note may be of a day before the first run, and all runs may be of one moment.
        share = (at - first).total_seconds() / span if span else 0.5
        return round(_LEFT + (_RIGHT - _LEFT) * min(max(share, 0.0), 1.0), 1)

    def up(value: float) -> float:
        return round(_BOTTOM - (_BOTTOM - _TOP) * (value - values[0]) / (values[-1] - values[0]), 1)

    dots = tuple(
        Dot(
            place,
            across(point.started_at),
            up(point.value),
            None if point.low is None else up(point.low),
            None if point.high is None else up(point.high),
        )
        for place, point in enumerate(history.points)
        if point.value is not None
    )
    level = history.baseline.value if history.baseline is not None else None
    return Timeline(
        dots,
        " ".join(f"{dot.x},{dot.y}" for dot in dots),
        tuple(across(point.started_at) for point in history.points if point.value is None),
        None if level is None else up(level),
        tuple(Mark(place, across(step.at)) for place, step in enumerate(history.steps)),
        tuple(Mark(place, across(change.at)) for place, change in enumerate(history.changes)),
        tuple(
            Mark(place, across(datetime.combine(note.first_day, datetime.min.time(), first.tzinfo)))
            for place, note in enumerate(history.annotations)
        ),
        tuple(Tick(up(value), value) for value in values),
        _days(first, last, across),
    )


def _days(first: datetime, last: datetime, across: Callable[[datetime], float]) -> tuple[tuple[float, datetime], ...]:

    moments: Sequence[datetime] = [first + (last - first) * (place / _DAY_TICKS) for place in range(_DAY_TICKS + 1)]
    # Each once: a history of a single run has one moment.
    return tuple((across(moment), moment) for moment in dict.fromkeys(moments))
