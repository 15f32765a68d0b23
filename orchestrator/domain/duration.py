"""Read durations: 90s, 30m, 2h, 1d."""

from __future__ import annotations

import re

from orchestrator.domain.errors import ConfigError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# ASCII, since \d alone accepts digits of every script. Bounded, so that no number overflows.
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)([smhd])", re.ASCII)
DAYS_MAX = 366


def parse_duration_s(text: str, where: str) -> float:
    """Return the seconds of `90s`, `30m`, `2h` or `1d`.

    Raise ConfigError for another text, for 0 and for more than DAYS_MAX days. `where` begins the message.
    """
    found = _DURATION.fullmatch(text.strip().lower())
    seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if seconds > DAYS_MAX * _SECONDS["d"]:
        raise ConfigError(f"{where}: too long: {text!r}", f"at most {DAYS_MAX}d")
    if not seconds:  # 0s is written like a duration, and is none
        raise ConfigError(f"{where}: not a duration: {text!r}", "a number and a unit, such as 90s, 30m, 1.5h or 1d")
    return seconds
