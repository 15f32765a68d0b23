"""Tell moments to people: in local time, and how far away. Programs read ISO 8601 in UTC instead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400
_FAR = timedelta(days=30)
"""Beyond so much a date alone says enough."""


def told(moment: datetime, now: datetime | None = None) -> str:
    """Return a moment for a person who reads now: `2026-11-30 16:31, 3 h ago`, `2026-11-30 18:31, in 2 h`."""
    now = now or datetime.now(UTC)
    aware = _aware(moment)
    date = f"{aware.astimezone():%Y-%m-%d %H:%M}"
    return date if abs(aware - now) > _FAR else f"{date}, {distance(aware, now)}"


def distance(moment: datetime, now: datetime) -> str:
    """Return how far away a moment is: `in 2 h`, `3 h ago`, `now`."""
    seconds = round((_aware(moment) - now).total_seconds())
    if seconds == 0:
        return "now"
    length = _length(abs(seconds))
    return f"in {length}" if seconds > 0 else f"{length} ago"


def noted(moment: datetime | None, now: datetime | None = None) -> str:
    """Return a moment for a text that is kept and read later: `16:31 CET`, with the date unless `now` is the same day.

    The zone's name stands there, since a reader of the text may be in another zone.
    """
    if moment is None:
        return "an unknown time"
    local = _aware(moment).astimezone()
    is_today = now is not None and local.date() == _aware(now).astimezone().date()
    pattern = "%H:%M %Z" if is_today else "%Y-%m-%d %H:%M %Z"
    return local.strftime(pattern)


def _aware(moment: datetime) -> datetime:
    # A database without time zones keeps UTC.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _length(seconds: int) -> str:
    """Return a length of time in a unit in which the number stays small: 40 s, 12 min, 2 h, 3 days."""
    if seconds < 2 * _MINUTE_S:
        return f"{seconds} s"
    # Rounded to the unit that is shown: 7,190 s are 2 h, not 120 min.
    if (minutes := round(seconds / _MINUTE_S)) < 120:
        return f"{minutes} min"
    if (hours := round(seconds / _HOUR_S)) < 48:
        return f"{hours} h"
    return f"{round(seconds / _DAY_S)} days"
