"""Hold the notes of people about a date, a device, a series or a run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from orchestrator.domain.series import Series


@dataclass(frozen=True, slots=True)
class Note:
    """Hold a new annotation. Days are in UTC, and both belong to the range. None means no device in particular."""

    first_day: date
    last_day: date
    text: str
    who: str
    device: str | None = None
    series: int | None = None
    run: str | None = None


@dataclass(frozen=True, slots=True)
class Annotation:
    """Hold an annotation on record."""

    id: int
    first_day: date
    last_day: date
    text: str
    who: str
    at: datetime
    device: str | None = None
    series: Series | None = None
    run: str | None = None

    def concerns(self, day: date, series: Series) -> bool:
        """Return True if the annotation is about a series on a day."""
        return self.first_day <= day <= self.last_day and self.touches(series)

    def touches(self, series: Series) -> bool:
        """Return True if the annotation is about the series, about the series' device, or about everything."""
        if self.series is not None:
            return self.series.id == series.id
        return self.device is None or self.device == series.device
