"""Find time zones by name."""

from __future__ import annotations

import os
from pathlib import Path
from zoneinfo import ZoneInfo

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.quoting import quoted

_LOCAL_TIME = Path("/etc/localtime")


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
