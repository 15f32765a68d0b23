"""Lay out small drawings. Only numbers leave this module: templates draw, and no word of a device becomes markup."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

SPARK_WIDTH, SPARK_HEIGHT = 120, 28


@dataclass(frozen=True, slots=True)
class Spark:
    """Hold a line of values: SVG points, the place of the newest, and the largest value drawn."""

    points: str
    x: float
    y: float
    top: float


def spark(values: Sequence[float]) -> Spark | None:
    """Return a line from the oldest value to the newest, above zero. None for no values."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return None
    # From zero: a line cut off below would make small noise look large.
    top = max(known) or 1.0
    step = (SPARK_WIDTH - 4) / max(len(known) - 1, 1)
    places = [(2 + place * step, 2 + (SPARK_HEIGHT - 4) * (1 - value / top)) for place, value in enumerate(known)]
    return Spark(" ".join(f"{x:.1f},{y:.1f}" for x, y in places), round(places[-1][0], 1), round(places[-1][1], 1), top)


CURVE_WIDTH, CURVE_HEIGHT = 1100, 220
_CURVE_POINTS_MAX = 600
"""Of more readings, the mean of neighbours is drawn: a device reads for minutes, and a screen has no more places."""


@dataclass(frozen=True, slots=True)
class Curves:
    """Hold lines over time, above zero, on a scale that all share. `ticks` are places and values upwards."""

    lines: tuple[str, ...]
    ticks: tuple[Tick, ...]
    seconds: float


def curves(lines: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Curves | None:
    """Return the drawing of lines, each of moments in seconds and values. None without any value."""
    drawn = [_fewer(seconds, values) for seconds, values in lines]
    top = max((value for _, values in drawn for value in values), default=0.0)
    if not top > 0:
        return None
    last = max(moment for seconds, _ in drawn for moment in seconds) or 1.0
    values = ticks(0.0, top)

    def up(value: float) -> float:
        return round(CURVE_HEIGHT - 30 - (CURVE_HEIGHT - 50) * value / values[-1], 1)

    def across(moment: float) -> float:
        return round(76 + (CURVE_WIDTH - 88) * moment / last, 1)

    points = (
        " ".join(f"{across(moment)},{up(value)}" for moment, value in zip(seconds, found, strict=True))
        for seconds, found in drawn
    )
    return Curves(tuple(points), tuple(Tick(up(value), value) for value in values), last)


def _fewer(seconds: Sequence[float], values: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    step = -(-len(values) // _CURVE_POINTS_MAX) or 1
    starts = range(0, len(values), step)
    return [_mean(seconds[start : start + step]) for start in starts], [
        _mean(values[start : start + step]) for start in starts
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


RATIO_WIDTH, RATIO_HEIGHT = 170, 18
_RATIO_MIN, _RATIO_MAX = 1 / 16, 16.0
"""Ratios beyond these are drawn at the edge, with an arrow: one far cell must not flatten all others."""


@dataclass(frozen=True, slots=True)
class Whisker:
    """Hold an interval of a ratio on a scale that all rows of a table share, in units of the drawing.

    `low` and `high` are None for a ratio without an interval. `cut` says that an end lies beyond the scale.
    """

    one: float
    value: float
    low: float | None
    high: float | None
    cut: bool


class RatioScale:
    """Map ratios to places, by their logarithms: half and double are as far from 1."""

    def __init__(self, ratios: Sequence[float | None]) -> None:
        known = [abs(math.log(_bounded(ratio))) for ratio in ratios if ratio is not None and ratio > 0]
        # Five per cent at least: noise of a thousandth must not fill the drawing.
        self._reach = max([*known, math.log(1.05)]) * 1.05

    def place(self, ratio: float) -> float:
        """Return the place of a ratio across the drawing."""
        share = math.log(_bounded(ratio)) / self._reach
        return round(RATIO_WIDTH / 2 * (1 + max(-1.0, min(1.0, share))), 1)

    def whisker(self, value: float, low: float | None, high: float | None) -> Whisker | None:
        """Return the drawing of a ratio, or None for one that is not above zero."""
        if not value > 0 or not math.isfinite(value):
            return None
        ends = [end for end in (value, low, high) if end is not None]
        cut = any(not _RATIO_MIN <= end <= _RATIO_MAX for end in ends)
        # An interval may reach below zero, which has no logarithm.
        drawn = [None if end is None else self.place(max(end, _RATIO_MIN)) for end in (low, high)]
        return Whisker(self.place(1.0), self.place(value), drawn[0], drawn[1], cut)


def _bounded(ratio: float) -> float:
    return min(max(ratio, _RATIO_MIN), _RATIO_MAX)


PLOT_WIDTH, PLOT_HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 620, 14, 316


@dataclass(frozen=True, slots=True)
class Tick:
    """Hold a mark of an axis: the place, and the value there."""

    at: float
    value: float


@dataclass(frozen=True, slots=True)
class Scatter:
    """Hold points of a plane, with the ticks of both axes, and the line along the front as SVG points."""

    places: tuple[tuple[float, float], ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    front: str


def scatter(points: Sequence[tuple[float, float, bool]]) -> Scatter:
    """Lay out points given as x, y, and whether the point is on the front."""
    xs, ys = [point[0] for point in points], [point[1] for point in points]
    x_ticks, y_ticks = ticks(min(xs), max(xs)), ticks(min(ys), max(ys))
    spans = (
        (min(*xs, x_ticks[0]), max(*xs, x_ticks[-1]), _LEFT, _RIGHT),
        (min(*ys, y_ticks[0]), max(*ys, y_ticks[-1]), _BOTTOM, _TOP),
    )
    places = tuple((_along(x, *spans[0]), _along(y, *spans[1])) for x, y, _ in points)
    front = sorted(place for place, point in zip(places, points, strict=True) if point[2])
    return Scatter(
        places,
        tuple(Tick(_along(value, *spans[0]), value) for value in x_ticks),
        tuple(Tick(_along(value, *spans[1]), value) for value in y_ticks),
        " ".join(f"{x},{y}" for x, y in front),
    )


def ticks(low: float, high: float, number: int = 5) -> list[float]:
    """Return round values around a span, the first at or below `low`, the last at or above `high`."""
    # Equal values need a span too, or every mark would be at one place.
    span = (high - low) or abs(high) or 1.0
    raw = span / number
    magnitude = 10 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [place * step for place in range(first, max(last, first + 1) + 1)]


def _along(value: float, low: float, high: float, begin: float, end: float) -> float:
    return round(begin + (end - begin) * ((value - low) / (high - low) if high > low else 0.5), 1)
