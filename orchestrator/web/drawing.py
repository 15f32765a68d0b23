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
    top = max(known) or 1.0
    step = (SPARK_WIDTH - 4) / max(len(known) - 1, 1)
    places = [(2 + place * step, 2 + (SPARK_HEIGHT - 4) * (1 - value / top)) for place, value in enumerate(known)]
    return Spark(" ".join(f"{x:.1f},{y:.1f}" for x, y in places), round(places[-1][0], 1), round(places[-1][1], 1), top)
