"""Declare a schedule, all schedules, and when they fire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.domain.schedule import Missed, Moments, Overlap, Schedule, ScheduleMoments
from orchestrator.reporting.report import Report
from orchestrator.reporting.shape import (
    BOOLEAN,
    FREE,
    INTEGER,
    TEXT,
    TIME,
    Key,
    ListOf,
    MapOf,
    OneOf,
    OrNull,
    Shape,
    View,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

_KEYS: tuple[Key[Schedule], ...] = (
    Key("name", TEXT, "The schedule's name, and the name of each of its runs.", lambda one: one.name),
    Key("holder", TEXT, "The person who added the schedule, and submits its runs: user@host.", lambda one: one.holder),
    Key("cron", TEXT, "The cron expression.", lambda one: one.rhythm.cron),
    Key("zone", TEXT, "The time zone of the expression.", lambda one: one.rhythm.zone),
    Key("jitter_s", INTEGER, "The longest delay behind a moment of the expression.", lambda one: one.rhythm.jitter_s),
    Key(
        "overlap",
        OneOf(Overlap),
        "What a firing does while an earlier run of the schedule waits or goes on.",
        lambda one: one.rhythm.overlap,
    ),
    Key(
        "missed",
        OneOf(Missed),
        "What becomes of moments at which no daemon was there: one run for all of them, or none.",
        lambda one: one.rhythm.missed,
    ),
    Key("sweep", TEXT, "The sweep's name.", lambda one: one.sweep),
    Key("select", TEXT, "Which devices of the daemon's inventory.", lambda one: one.select),
    Key("priority", INTEGER, "The priority of the runs.", lambda one: one.priority),
    Key("window", OrNull(TEXT), "The window within which the runs begin; null for any time.", lambda one: one.window),
    Key("note", OrNull(TEXT), "The note for the runs.", lambda one: one.words.note),
    Key("added_at", TIME, "When the schedule was added, or replaced.", lambda one: one.added_at),
    Key("is_paused", BOOLEAN, "Whether the schedule does not fire.", lambda one: one.is_paused),
    Key("due_at", TIME, "The next moment of the expression.", lambda one: one.due_at),
    Key("fires_at", TIME, "That moment with the schedule's own delay.", lambda one: one.fires_at),
    Key("fired_at", OrNull(TIME), "When the schedule fired last; null before.", lambda one: one.fired_at),
    Key("last", OrNull(TEXT), "The run of the last firing, or why there is none; null before.", lambda one: one.last),
)
_ROW = View[Schedule]("schedule-row", "A submission that daemons make again and again.", _KEYS)
_SCHEDULE = View[Schedule](
    "schedule",
    _ROW.about,
    (
        *_KEYS,
        Key("tags", MapOf(TEXT, "key"), "The tags for the runs.", lambda one: one.words.tags),
        Key(
            "settings",
            MapOf(FREE, "name"),
            "What flags ask of the runs beside the sweep: missing, or stale_s in seconds.",
            lambda one: one.settings,
        ),
    ),
)
SCHEDULED = Shape[Schedule](_SCHEDULE, _ROW, lambda one: [one])
SCHEDULES = Shape[Sequence[Schedule]](ListOf(_SCHEDULE), _ROW, lambda found: found)


class _Firing(NamedTuple):
    name: str
    moments: Moments


_MOMENTS = View[Moments](
    "schedule-moment",
    "A moment at which a schedule fires.",
    (
        Key("due_at", TIME, "The moment of the expression.", lambda one: one.due_at),
        Key("fires_at", TIME, "That moment with the schedule's own delay.", lambda one: one.fires_at),
    ),
)
_NEXT = View[ScheduleMoments](
    "schedule-moments",
    "The next moments at which a schedule fires.",
    (
        Key("name", TEXT, "The schedule.", lambda one: one.schedule.name),
        Key("zone", TEXT, "The time zone of the expression.", lambda one: one.schedule.rhythm.zone),
        Key("is_paused", BOOLEAN, "Whether the schedule does not fire.", lambda one: one.schedule.is_paused),
        Key("moments", ListOf(_MOMENTS), "The moments, the earliest first.", lambda one: one.moments),
    ),
)
_FIRING_ROW = View[_Firing](
    "schedule-moment-row",
    _MOMENTS.about,
    (
        Key("name", TEXT, "The schedule.", lambda one: one.name),
        Key("due_at", TIME, "The moment of the expression.", lambda one: one.moments.due_at),
        Key("fires_at", TIME, "That moment with the schedule's own delay.", lambda one: one.moments.fires_at),
    ),
)
NEXT = Shape[Sequence[ScheduleMoments]](
    ListOf(_NEXT),
    _FIRING_ROW,
    lambda found: [_Firing(one.schedule.name, each) for one in found for each in one.moments],
)


def schedule_report(one: Schedule) -> Report:
    """Return a schedule as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.schedules import schedule_line

        return schedule_line(one)

    return Report(one, SCHEDULED, draw)


def schedules_report(found: Sequence[Schedule], now: datetime) -> Report:
    """Return all schedules as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.schedules import schedule_table

        return schedule_table(found, now)

    return Report(found, SCHEDULES, draw)


def moments_report(found: Sequence[ScheduleMoments]) -> Report:
    """Return the next moments of schedules as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.schedules import moments_table

        return moments_table(found)

    return Report(found, NEXT, draw)
