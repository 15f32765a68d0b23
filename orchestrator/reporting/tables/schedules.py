"""Draw schedules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import RenderableType
from rich.text import Text

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.moments import distance, noted
from orchestrator.domain.schedule import Schedule, ScheduleMoments
from orchestrator.domain.zone import zone_of
from orchestrator.reporting.tables.columns import Column, plain_table
from orchestrator.reporting.text import ABSENT, shown

_COLUMNS = (
    Column("name"),
    Column("sweep", fold=True, spare=4),
    Column("by", spare=5),
    Column("cron"),
    Column("zone", spare=3),
    Column("fires"),
    Column("fired", spare=2),
    Column("last", prose=True),
)
_MOMENT_COLUMNS = (Column("name"), Column("fires"), Column("in", right=True), Column("due", spare=1))


def schedule_line(one: Schedule) -> Text:
    """Return what a schedule does, in a sentence."""
    words = f"{one.name}: {one.sweep} on {one.select}, at {one.rhythm.cron} ({one.rhythm.zone})"
    return shown(f"{words}; {'paused' if one.is_paused else f'next {_at(one.fires_at, one)}'}")


def schedule_table(found: Sequence[Schedule], now: datetime) -> RenderableType:
    """Return a line for each schedule."""
    return plain_table(
        _COLUMNS,
        (
            (
                one.name,
                one.sweep,
                one.holder,
                one.rhythm.cron,
                one.rhythm.zone,
                Text("paused", style="yellow") if one.is_paused else distance(one.fires_at, now),
                ABSENT if one.fired_at is None else distance(one.fired_at, now),
                one.last,
            )
            for one in found
        ),
    )


def moments_table(found: Sequence[ScheduleMoments]) -> RenderableType:
    """Return a line for each moment, in the zone of its schedule."""
    return plain_table(
        _MOMENT_COLUMNS,
        (
            (
                one.schedule.name,
                _at(each.fires_at, one.schedule),
                "paused" if one.schedule.is_paused else distance(each.fires_at, one.now),
                _at(each.due_at, one.schedule),
            )
            for one in found
            for each in one.moments
        ),
    )


def _at(moment: datetime, one: Schedule) -> str:
    try:
        return f"{moment.astimezone(zone_of(one.rhythm.zone)):%a %Y-%m-%d %H:%M:%S %Z}"
    except ConfigError:  # this machine does not know the zone, and only looks
        return noted(moment)
