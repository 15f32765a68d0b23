"""Describe how conditions judged the trials of a device in a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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


def breach_in_words(word: str, before: Mapping[str, Any], after: Mapping[str, Any], limits: Mapping[str, float]) -> str:
    """Return the word of a breach with reading and limit, or the word alone where either is not on record.

    `limits` are the plan's, by key: "cpu-pressure 96 % > 25 %".
    """
    name = LIMITS.get(word)
    if name is None or name not in limits:
        return word
    # A limit is named after its reading.
    limit, reading = limits[name], name.replace("_max", "")
    is_hot = word == "too-hot"
    # Heat before a trial counts, too. Of the other readings the one after a trial covers the trial.
    readings = [_finite(after.get(reading)), _finite(before.get(reading)) if is_hot else None]
    found = max((one for one in readings if one is not None), default=None)
    if found is None or found <= limit:
        return word
    # Three digits are enough for a reader, unless a reading just beyond the limit would read like the limit.
    digits = next(filter(lambda text: float(text) > limit, (f"{found:.3g}", f"{found:.6g}")), f"{found!r}")
    unit = "°C" if is_hot else "%"
    return f"{word} {digits} {unit} > {limit:g} {unit}"


def _finite(value: Any) -> float | None:
    # Words of a device: anything may stand there.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
