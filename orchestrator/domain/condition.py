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
    "frequency-low": "frequency_min_percent",
    "unsteady": "unsteady_max_percent",
    "governor": "governor",
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


def reading_of(limit: str) -> str:
    """Return the key of a reading, which its limit is named after."""
    return limit.replace("_max", "").replace("_min", "")


def breach_in_words(word: str, before: Mapping[str, Any], after: Mapping[str, Any], limits: Mapping[str, Any]) -> str:
    """Return the word of a breach with reading and limit, or the word alone where either is not on record.

    `limits` are the plan's, by key: "cpu-pressure 96 % > 25 %".
    """
    name = LIMITS.get(word)
    if name is None or name not in limits:
        return word
    limit, reading = limits[name], reading_of(name)
    if isinstance(limit, str):
        found_words = [str(one) for one in (before.get(reading), after.get(reading)) if isinstance(one, str)]
        other = next((one for one in found_words if one != limit), None)
        return word if other is None else f"{word} {other}, not {limit}"
    if "_min" in name:
        low = _finite(after.get(reading))
        return word if low is None or low >= limit else f"{word} {_clear(low, limit)} % < {limit:g} %"
    is_hot = word == "too-hot"
    # Heat before a trial counts, too. Of the other readings the one after a trial covers the trial.
    readings = [_finite(after.get(reading)), _finite(before.get(reading)) if is_hot else None]
    found = max((one for one in readings if one is not None), default=None)
    if found is None or found <= limit:
        return word
    unit = "°C" if is_hot else "%"
    return f"{word} {_clear(found, limit)} {unit} > {limit:g} {unit}"


def _clear(found: float, limit: float) -> str:
    # Three digits are enough for a reader, unless a reading just beyond the limit would read like the limit.
    texts = (f"{found:.3g}", f"{found:.6g}")
    return next(
        filter(lambda text: (float(text) > limit) == (found > limit) and float(text) != limit, texts), f"{found!r}"
    )


def _finite(value: Any) -> float | None:
    # Words of a device: anything may stand there.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
