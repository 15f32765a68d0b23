"""Name what goes wrong with a simulated device, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Faults:
    """Hold the faults of one device.

    `refused_logins`: so many logins are refused, None for all. `drops`: connections are cut behind records with these
    numbers, one number for each connection in turn. `silences`: the same, but the connection stays open and says
    nothing more. `deaths`: the runner dies in the middle of trials with these places in the plan, once for each.
    `failing`: places of trials that fail at every attempt.
    """

    refused_logins: int | None = 0
    drops: tuple[int, ...] = ()
    silences: tuple[int, ...] = ()
    deaths: tuple[int, ...] = ()
    failing: frozenset[int] = frozenset()

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Faults:
        """Return the faults of a JSON object. Raise TypeError for an unknown key."""
        plain = dict(said)
        for key in ("drops", "silences", "deaths"):
            plain[key] = tuple(plain.get(key, ()))
        return cls(**{**plain, "failing": frozenset(plain.get("failing", ()))})


@dataclass(frozen=True, slots=True)
class Pace:
    """Say how long a trial takes, in seconds, how many samples it has, and how many further metrics."""

    trial_s: float = 1.0
    samples: int = 50
    metrics: int = 16
