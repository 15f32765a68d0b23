"""Hold what a figure shows, whatever draws it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestrator.domain.metric import Unit


@dataclass(frozen=True, slots=True)
class Interval:
    """Hold a named value with its 95 % interval, None for a value without an interval."""

    label: str
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class IntervalsFigure:
    """Hold values side by side, in the unit. `left_out` counts the cells without a value."""

    title: str
    metric: str
    unit: Unit
    rows: tuple[Interval, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Moment:
    """Hold a value at a moment, None for a moment without a value."""

    at: datetime
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Line:
    """Hold one series of a figure over time. `steps` are the moments of other levels."""

    label: str
    moments: tuple[Moment, ...]
    steps: tuple[datetime, ...]
    baseline: float | None


@dataclass(frozen=True, slots=True)
class LinesFigure:
    """Hold series over time, in the unit."""

    title: str
    metric: str
    unit: Unit
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Spot:
    """Hold a cell by two metrics. `on_front`: no cell of the device is better in one and no worse in the other."""

    label: str
    x: float
    y: float
    on_front: bool


@dataclass(frozen=True, slots=True)
class SpotsFigure:
    """Hold cells by two metrics, each in its unit."""

    title: str
    x_metric: str
    x_unit: Unit
    y_metric: str
    y_unit: Unit
    spots: tuple[Spot, ...]
    left_out: int


Figure = IntervalsFigure | LinesFigure | SpotsFigure
