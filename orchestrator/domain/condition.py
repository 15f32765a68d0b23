"""Describe how conditions judged the trials of a device in a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

BUSY_WORDS = frozenset({"cpu-pressure", "cpu-steal", "other-load"})
"""The words of conditions that other work breaks."""

LIMITS = {
    "too-hot": "temperature_c_max",
    "cpu-pressure": "cpu_pressure_max_percent",
    "cpu-steal": "cpu_steal_max_percent",
    "other-load": "other_load_max_percent",
}
"""The limit behind the word of a condition, as inventories and sweeps name the limit. Throttling has no limit."""


@dataclass(frozen=True, slots=True)
class ConditionUse:
    """Count the breaches of conditions on a device, and name the readings missing there.

    `invalid` is how many measure attempts broke a condition. `breaches` counts these attempts by the word of the
    condition, and an attempt may have several words. `unjudged` has the reason for each missing reading with a
    limit.
    """

    device: str
    invalid: int
    breaches: Mapping[str, int] = field(default_factory=dict)
    unjudged: Mapping[str, str] = field(default_factory=dict)

    @property
    def limits(self) -> tuple[str, ...]:
        """Return the names of the limits that were broken."""
        return tuple(LIMITS[word] for word in self.breaches if word in LIMITS)

    @property
    def was_busy(self) -> bool:
        """Return whether other work made trials invalid."""
        return not BUSY_WORDS.isdisjoint(self.breaches)
