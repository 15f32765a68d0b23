"""Work out the moments of a cron expression in a time zone.

A time of day that a change of the clocks leaves out comes right behind the gap. A time of day that comes twice counts
the first time. An expression whose minutes or hours begin with a star goes by real time instead: each such moment
counts. Debian's cron does the same.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.quoting import quoted

_FIELDS = 5
_LOCAL_TIME = Path("/etc/localtime")


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


def zone_of(name: str) -> ZoneInfo:
    """Return a time zone. Raise ConfigError for a name that this machine does not know."""
    try:
        return ZoneInfo(name)
    # A folder of zones is an OSError, and a path out of the folder a ValueError.
    except (KeyError, ValueError, OSError):
        raise ConfigError(
            f"this machine knows no time zone {quoted(name)}",
            "a name such as Europe/Berlin; if not even UTC is known: apt-get install tzdata, or pip install tzdata",
        ) from None


def local_zone() -> str:
    """Return the name of this machine's time zone, UTC where the machine does not tell."""
    name = os.environ.get("TZ", "").removeprefix(":")
    if not name:
        try:
            name = str(_LOCAL_TIME.readlink()).partition("zoneinfo/")[2]
        except OSError:  # no link: a copy does not say which zone it is
            name = ""
    try:
        return zone_of(name).key if name else "UTC"
    except ConfigError:
        return "UTC"


def _wrong(cron: str, why: str) -> ConfigError:
    return ConfigError(f"{quoted(cron)} is no cron expression: {why}", "such as '0 22 * * mon-fri' or '*/30 * * * *'")
