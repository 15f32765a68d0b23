"""Work out the moments of a cron expression in a time zone.

A time of day that a change of the clocks leaves out comes right behind the gap. A time of day that comes twice counts
the first time. An expression whose minutes or hours begin with a star goes by real time instead: each such moment
counts. Debian's cron does the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.quoting import quoted
from orchestrator.domain.schedule import Moments, Rhythm, Schedule, delay_of
from orchestrator.domain.zone import zone_of

_FIELDS = 5


def due_after(cron: str, zone: str, moment: datetime) -> datetime:
    """Return the first moment of an expression after another moment, in UTC.

    Raise ConfigError for a wrong expression, for one that never comes, and for a zone that this machine does not know.
    """
    # Late: few commands look at a schedule.
    from cronsim import CronSim, CronSimError

    where = zone_of(zone)
    if len(cron.split()) != _FIELDS:
        raise _wrong(cron, f"expected {_FIELDS} fields: minute, hour, day of month, month, day of week")
    try:
        found = (then.astimezone(UTC) for then in CronSim(cron, moment.astimezone(where)))
        # In the second of two equal hours the library begins with moments of the first.
        return next(then for then in found if then > moment)
    except CronSimError as error:
        raise _wrong(cron, str(error)) from None
    except StopIteration:
        raise _wrong(cron, "no such moment comes") from None


def next_moments(schedule: int, rhythm: Rhythm, after: datetime) -> Moments:
    """Return the first firing behind a moment. The delay is the same for each moment of a schedule."""
    delay = delay_of(schedule, rhythm.jitter_s)
    due = due_after(rhythm.cron, rhythm.zone, after - delay)
    return Moments(due, due + delay)


def coming_moments(one: Schedule, count: int) -> Iterator[Moments]:
    """Yield the next firings of a schedule, the first of them as stored."""
    found = Moments(one.due_at, one.fires_at)
    for _ in range(count):
        yield found
        found = next_moments(one.id, one.rhythm, found.fires_at)


def _wrong(cron: str, why: str) -> ConfigError:
    return ConfigError(f"{quoted(cron)} is no cron expression: {why}", "such as '0 22 * * mon-fri' or '*/30 * * * *'")
