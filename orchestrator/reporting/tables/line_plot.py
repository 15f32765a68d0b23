"""Draw values over time with plain characters, for a terminal of any width and without colours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

HEIGHT = 12
"""Lines of the drawing, without the axis."""
_VALUE, _INTERVAL, _BASELINE, _NOTHING = "●", "│", "╌", " "


@dataclass(frozen=True, slots=True)
class Dot:
    """Hold one value at a moment with its interval, None for a moment without a value or a value without interval."""

    at: datetime
    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class LinePlot:
    """Hold what a drawing shows. `marks` has signs below the drawing, by sign, at the moments of what they stand for.

    `texts` are the labels of the highest and the lowest line, and of the baseline's line.
    """

    dots: Sequence[Dot]
    baseline: float | None
    marks: Mapping[str, Sequence[datetime]] = field(default_factory=dict)


def bounds(plot: LinePlot) -> tuple[float, float] | None:
    """Return the lowest and the highest value to be drawn, or None without any value.

    Intervals are drawn as far as they are no wider than the values are apart: one wild run must not flatten the rest.
    """
    values = [dot.value for dot in plot.dots if dot.value is not None]
    if not values:
        return None
    values += [] if plot.baseline is None else [plot.baseline]
    low, high = min(values), max(values)
    room = high - low
    ends = [end for dot in plot.dots for end in (dot.low, dot.high) if end is not None]
    if room == 0:
        room = max((abs(end - low) for end in ends), default=0.0)
    return (
        min([low, *(end for end in ends if low - room <= end)]),
        max([high, *(end for end in ends if end <= high + room)]),
    )


def line_plot(plot: LinePlot, labels: tuple[str, str], width: int) -> list[str]:
    """Return the lines of a drawing, or none without a value. `labels` are the lowest and the highest value in words.

    Every value has its place: a column stands for a stretch of time, and shows each value of that stretch.
    """
    ends = bounds(plot)
    if ends is None:
        return []
    margin = max(map(len, labels))
    columns = max(width - margin - 2, 10)
    begin, finish = plot.dots[0].at, plot.dots[-1].at
    canvas = [[_NOTHING] * columns for _ in range(HEIGHT)]
    if plot.baseline is not None:
        canvas[_row(plot.baseline, ends)] = [_BASELINE] * columns
    for dot in plot.dots:
        _draw_interval(canvas, dot, ends, _column(dot.at, begin, finish, columns))
    for dot in plot.dots:  # after all intervals: a value is never hidden
        if dot.value is not None:
            canvas[_row(dot.value, ends)][_column(dot.at, begin, finish, columns)] = _VALUE
    names = {0: labels[1], HEIGHT - 1: labels[0]}
    lines = [f"{names.get(place, ''):>{margin}} ┤{''.join(row)}".rstrip() for place, row in enumerate(canvas)]
    lines.append(f"{'':>{margin}} └{'─' * columns}")
    blank = " " * (margin + 2)
    lines += [
        f"{blank}{_marked(sign, moments, (begin, finish), columns)}".rstrip()
        for sign, moments in plot.marks.items()
        if moments
    ]
    first, last = (f"{moment.astimezone(UTC):%Y-%m-%d}" for moment in (begin, finish))
    lines.append(f"{blank}{first}{last:>{max(columns - len(first), len(last) + 1)}}")
    return lines


def _draw_interval(canvas: list[list[str]], dot: Dot, ends: tuple[float, float], column: int) -> None:
    if dot.low is None or dot.high is None:
        return
    top, bottom = (_row(min(max(end, ends[0]), ends[1]), ends) for end in (dot.high, dot.low))
    for row in range(top, bottom + 1):
        canvas[row][column] = _INTERVAL


def _marked(sign: str, moments: Sequence[datetime], ends: tuple[datetime, datetime], columns: int) -> str:
    row = [_NOTHING] * columns
    for moment in moments:
        row[_column(moment, *ends, columns)] = sign
    return "".join(row)


def _column(at: datetime, begin: datetime, finish: datetime, columns: int) -> int:
    span = (finish - begin).total_seconds()
    share = (at - begin).total_seconds() / span if span > 0 else 0.5
    return min(max(int(share * columns), 0), columns - 1)


def _row(value: float, ends: tuple[float, float]) -> int:
    low, high = ends
    share = (value - low) / (high - low) if high > low else 0.5
    return HEIGHT - 1 - min(math.floor(share * HEIGHT), HEIGHT - 1)
