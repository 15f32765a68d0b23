"""Note what a person knows about a date, a device, a series or a run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from orchestrator.domain.annotation import Annotation, Note
from orchestrator.domain.errors import ConfigError
from orchestrator.services.history.reasons import stated

if TYPE_CHECKING:
    from orchestrator.domain.run import RunRecord
    from orchestrator.services.base import FleetWiring, HasRecords

RANGE = ".."
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_FORMS = "a date is 2026-11-28, a range of dates 2026-11-01..2026-11-28"


@dataclass(frozen=True, slots=True)
class AnnotateRequest:
    """Ask for a note about a date, a range of dates, a run or a device.

    `on` is the date or range of a note about a device; None is today. `device` and `series` narrow a note about dates.
    `who` notes. None stands for the user of this process.
    """

    about: str
    text: str
    on: str | None = None
    device: str | None = None
    series: int | None = None
    who: str | None = None


def annotate(request: AnnotateRequest, wiring: FleetWiring) -> Annotation:
    """Record a note, and return the annotation.

    Raise ConfigError for an empty text, and unless `about` is a date, a run or a device of the database.
    """
    text, who = stated(request.text, "an annotation"), request.who or wiring.identity().holder
    plain = Note(*_days(request.on), text, who, request.device, request.series)
    if _DATE.match(request.about):
        first, last = _days(request.about)
        note = replace(plain, first_day=first, last_day=last)
    elif (record := _run(request.about, wiring)) is not None:
        day = record.header.started_at.astimezone(UTC).date()
        note = replace(plain, first_day=day, last_day=day, run=record.header.run)
    else:
        note = replace(plain, device=_only_device(request))
    return wiring.store.annotations.annotate(note)


def _run(about: str, wiring: FleetWiring) -> RunRecord | None:
    """Return the run that a text names. A known device of that name goes first: runs may be named after devices."""
    return None if wiring.store.devices.latest_facts([about]) else wiring.store.runs.find_run(about)


def list_annotations(on: str | None, wiring: HasRecords) -> Sequence[Annotation]:
    """Return the annotations on a date or a range, or all. Raise ConfigError unless `on` is a date or a range."""
    if on is None:
        return wiring.store.annotations.annotations()
    return wiring.store.annotations.annotations(*_days(on))


def _only_device(request: AnnotateRequest) -> str:
    if request.device not in (None, request.about):
        raise ConfigError(f"{request.about} is no date and no run", _FORMS)
    return request.about


def _days(text: str | None) -> tuple[date, date]:
    """Return the first and the last day of a date or a range; None is today in UTC."""
    if text is None:
        today = datetime.now(UTC).date()
        return today, today
    first, separator, last = text.partition(RANGE)
    days = _day(first), _day(last if separator else first)
    if days[0] > days[1]:
        raise ConfigError(f"{text}: the range ends before it begins", _FORMS)
    return days


def _day(text: str) -> date:
    try:
        # fromisoformat also takes 20261128, the beginning of a run's id.
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ConfigError(f"{text!r} is no date", _FORMS)
