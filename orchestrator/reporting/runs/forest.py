"""Lay out intervals side by side: a row for each cell, a dot for the value, a line for the interval.

Only numbers and labels leave this module. The template draws and escapes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

ROW, LABEL, WIDTH, RIGHT = 18, 250, 640, 90
_PLOT = WIDTH - LABEL - RIGHT


@dataclass(frozen=True, slots=True)
class Row:
    """Hold one row to be laid out. `text` is the figure in words."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    text: str


@dataclass(frozen=True, slots=True)
class Placed:
    """Hold one row of a drawing, in units of the drawing. None stands for what is not drawn."""

    label: str
    text: str
    y: int
    x: int | None
    x_low: int | None
    x_high: int | None


@dataclass(frozen=True, slots=True)
class Forest:
    """Hold a drawing. `line` is where the reference lies, None without one. `words` say what the drawing shows."""

    rows: tuple[Placed, ...]
    height: int
    line: int | None
    words: str


def forest(rows: Sequence[Row], words: str, reference: float | None = None) -> Forest | None:
    """Return the drawing of rows, on a logarithmic scale, or None for fewer than two values.

    Intervals that reach beyond ten times the spread of the values end at the edge.
    """
    known = [row.value for row in rows if row.value is not None and row.value > 0 and math.isfinite(row.value)]
    if len(known) < 2 and not (known and reference):
        return None
    known += [] if reference is None else [reference]
    middle = [math.log(value) for value in known]
    # One per cent at least: equal values would leave a scale without a width.
    spread = max(max(middle) - min(middle), 0.01)
    ends = [math.log(end) for row in rows for end in (row.low, row.high) if end is not None and end > 0]
    low = max(min([*middle, *ends]), min(middle) - spread) - 0.02 * spread
    high = min(max([*middle, *ends]), max(middle) + spread) + 0.02 * spread

    def place(value: float | None) -> int | None:
        if value is None or value <= 0 or not math.isfinite(value):
            return None
        share = (math.log(value) - low) / (high - low)
        return LABEL + round(_PLOT * min(max(share, 0.0), 1.0))

    placed = tuple(
        Placed(
            row.label,
            row.text,
            ROW * number + 13,
            place(row.value),
            # An interval is drawn with both of its ends or not at all.
            place(row.low) if row.high is not None else None,
            place(row.high) if row.low is not None else None,
        )
        for number, row in enumerate(rows)
    )
    return Forest(placed, ROW * len(rows) + 8, place(reference), words)
