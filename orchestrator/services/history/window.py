"""Read the bounds of a time from what people write."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.series_history import Window

_AGE = re.compile(r"(\d{1,5})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}
_FORMS = "a date such as 2026-11-28, a moment such as 2026-11-28T22:00, or an age such as 12h, 30d or 8w"


def read_window(since: str | None, until: str | None, limit: int, now: datetime | None = None) -> Window:
    """Return the window between two dates or ages. The day of `until` belongs to the window.

    Raise ConfigError for a text that is neither, and for a window that ends before it begins.
    """
    now = now or datetime.now(UTC)
    begin = None if since is None else _moment(since, "--since", now, is_end=False)
    end = None if until is None else _moment(until, "--until", now, is_end=True)
    if begin is not None and end is not None and begin >= end:
        raise ConfigError(f"--since {since} is not before --until {until}", _FORMS)
    return Window(begin, end, limit)


def _moment(text: str, option: str, now: datetime, *, is_end: bool) -> datetime:
    found = _AGE.fullmatch(text)
    try:
        if found is not None:
            return now - timedelta(hours=int(found[1]) * _HOURS[found[2]])
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            # Days are in UTC, and the day of an end belongs to the window.
            return datetime.combine(date.fromisoformat(text) + timedelta(days=is_end), datetime.min.time(), UTC)
        if re.match(r"\d{4}-\d{2}-\d{2}[T ]", text):
            moment = datetime.fromisoformat(text)
            return moment.replace(tzinfo=moment.tzinfo or UTC)
    except (ValueError, OverflowError):
        pass
    raise ConfigError(f"{option} {text!r} is no time", _FORMS)
