"""Turn the conditions that a sweep demands into limits, cooling and retries: one mechanism, in two words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.domain.sweep import Cooling, Retries
from orchestrator.specs.schema import Complaint
from orchestrator.specs.sweep_schema import SweepSection

_LIMITS: Mapping[str, str] = {
    "temperature_c_max": "temperature_c_max",
    "cpu_pressure_max": "cpu_pressure_max_percent",
    "steal_max": "cpu_steal_max_percent",
    "other_load_max": "other_load_max_percent",
    "frequency_min": "frequency_min_percent",
    "governor": "governor",
    "unsteady_max": "unsteady_max_percent",
}
"""The limit that each condition of a sweep means."""


def limits_of(section: SweepSection) -> Mapping[str, float | str | None]:
    """Return the limits of a sweep, those of `limits` and those of `conditions`. None is no limit."""
    demanded = section.conditions.model_dump(exclude_unset=True)
    found: dict[str, float | str | None] = dict(section.limits.model_dump(exclude_unset=True))
    return found | {limit: demanded[key] for key, limit in _LIMITS.items() if key in demanded}


def cooling_of(section: SweepSection) -> Cooling:
    """Return how a sweep lets devices cool."""
    return Cooling(section.conditions.cooldown_to_c, section.conditions.cooldown_s_max)


def retries_of(section: SweepSection) -> Retries:
    """Return the retries of a sweep."""
    again = section.conditions.on_invalid
    return Retries(section.retries.failed, section.retries.invalid if again is None else again.rerun_max)


def wrong_demands(section: SweepSection) -> Iterator[Complaint]:
    """Yield a complaint for each condition that a sweep says twice, and for cooling that never ends."""
    for key, limit in _LIMITS.items():
        if key in section.conditions.model_fields_set and limit in section.limits.model_fields_set:
            yield Complaint(("conditions", key), f"limits.{limit} says the same", "leave one of the two out")
    if section.conditions.on_invalid is not None and "invalid" in section.retries.model_fields_set:
        yield Complaint(("conditions", "on_invalid"), "retries.invalid says the same", "leave one of the two out")
    to_c, most = section.conditions.cooldown_to_c, limits_of(section).get("temperature_c_max")
    if to_c is not None and isinstance(most, float | int) and to_c > most:
        message = f"cooldown_to_c {to_c:g} is above temperature_c_max {most:g}: such trials are invalid at once"
        yield Complaint(("conditions", "cooldown_to_c"), message)
