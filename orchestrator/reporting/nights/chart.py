"""Lay out the chart of a cell: earlier nights, then the two sides of tonight with the interval.

Only numbers leave the module: no word of a device can become markup. The template draws and escapes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.domain.metric import metric_named
from orchestrator.domain.night import NightCell
from orchestrator.reporting.nights import words
from orchestrator.reporting.tables import numbers

WIDTH, HEIGHT = 360, 110
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 348, 10, 90
_TONIGHT = 300
"""Where earlier nights end, in units of the drawing."""
_BASELINE, _CANDIDATE = 316, 338
NIGHTS_MAX = 30


@dataclass(frozen=True, slots=True)
class Whisker:
    """Hold an interval at a place of the drawing."""

    x: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Mark:
    """Hold a side of tonight."""

    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Chart:
    """Hold a drawing.

    `line` and `dots` are SVG paths through earlier nights. `gaps` marks the nights without a value. `expected` is the
    height of the history's expectation. `text` describes the drawing.
    """

    line: str
    dots: str
    gaps: str
    expected: int | None
    baseline: Mark | None
    candidate: Mark | None
    interval: Whisker | None
    high: str
    low: str
    nights: int
    text: str


def chart(cell: NightCell) -> Chart | None:
    """Return the drawing of a cell, or None for a cell without two different things to show."""
    history = [_finite(point.value) for point in cell.history[-NIGHTS_MAX:]]
    before, after = _finite(words.baseline_value(cell)), _finite(words.candidate_value(cell))
    ends = _interval(cell, before)
    known = [value for value in (*history, before, after, _finite(cell.expected), *(ends or ())) if value is not None]
    if len(known) < 2:
        return None
    scale = _Scale(min(known), max(known))
    unit = metric_named(cell.metric).unit
    places = [
        (round(_LEFT + 6 + (_TONIGHT - _LEFT - 16) * index / max(len(history) - 1, 1)), value)
        for index, value in enumerate(history)
    ]
    return Chart(
        line="".join(_path(places, scale, joined=True)),
        dots="".join(_path(places, scale, joined=False)),
        gaps="".join(f"M{x} {_BOTTOM}v-5" for x, value in places if value is None),
        expected=scale.y_of(_finite(cell.expected)),
        baseline=None if before is None else Mark(_BASELINE, scale.y(before)),
        candidate=None if after is None else Mark(_CANDIDATE, scale.y(after)),
        interval=None if ends is None else Whisker(_CANDIDATE, scale.y(ends[0]), scale.y(ends[1])),
        high=numbers.quantity(max(known), unit),
        low=numbers.quantity(min(known), unit),
        nights=len(history),
        text=_text(cell, history),
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float

    def y(self, value: float) -> int:
        # Equal values lie in the middle: a quiet cell is a line, and no division by zero.
        share = 0.5 if self.high == self.low else (value - self.low) / (self.high - self.low)
        return round(_BOTTOM - 6 - (_BOTTOM - _TOP - 12) * share)

    def y_of(self, value: float | None) -> int | None:
        return None if value is None else self.y(value)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _interval(cell: NightCell, before: float | None) -> tuple[float, float] | None:
    """Return the interval of the ratio as values of the candidate."""
    if before is None or cell.estimate is None or cell.estimate.low is None or cell.estimate.high is None:
        return None
    ends = (before * cell.estimate.low, before * cell.estimate.high)
    return ends if all(map(math.isfinite, ends)) else None


def _path(places: list[tuple[int, float | None]], scale: _Scale, *, joined: bool) -> Iterator[str]:
    """Yield the steps of a path, with a line from night to night or a dot for each night."""
    here: tuple[int, int] | None = None
    is_drawn = False
    for x, value in places:
        if value is not None:
            y = scale.y(value)
            # Relative steps are shorter, and a page has dozens of charts.
            place = f"{x} {y}" if here is None else f"{x - here[0]} {y - here[1]}"
            yield f"{'M' if here is None else 'l' if joined and is_drawn else 'm'}{place}{'' if joined else 'h0'}"
            here = (x, y)
        is_drawn = value is not None


def _text(cell: NightCell, history: list[float | None]) -> str:
    """Return the drawing in words, for screen readers."""
    unit = metric_named(cell.metric).unit
    known = [value for value in history if value is not None]
    past = "no earlier nights"
    if known:
        low, high = numbers.quantity(min(known), unit), numbers.quantity(max(known), unit)
        past = f"{words.counted(len(history), 'earlier night')} between {low} and {high}"
        if len(known) < len(history):
            past += f", {len(history) - len(known)} of them without a value"
    return f"{cell.metric}: {past}; tonight {words.values(cell)}, {words.ratio(cell)}"
