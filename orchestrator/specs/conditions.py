"""Declare the limits of conditions, as inventories and sweeps have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, StringConstraints, create_model

from orchestrator.domain.device import CONDITION_LIMITS, GOVERNOR_LIMIT
from orchestrator.specs.schema import Section
from orchestrator.specs.words import pattern

Governor = Annotated[str, pattern("[a-z][a-z0-9_-]{0,30}"), StringConstraints(pattern="^[a-z][a-z0-9_-]{0,30}$")]
_CONDITIONS: dict[str, Any] = {
    key: (Annotated[float, Field(gt=0, le=most)] | None, None) for key, most in CONDITION_LIMITS.items()
}
_CONDITIONS[GOVERNOR_LIMIT] = (Governor | None, None)

ABOUT: Mapping[str, str] = {
    "temperature_c_max": "Trials that begin or end hotter are invalid, in degrees Celsius.",
    "cpu_pressure_max_percent": "Trials in which tasks waited for a CPU for more of the time are invalid.",
    "cpu_steal_max_percent": "Trials in which the host of a virtual machine took more of the time are invalid.",
    "other_load_max_percent": "Trials beside other work that took more of the time of all CPUs are invalid.",
    "frequency_min_percent": "Trials whose CPUs ran slower than this share of their highest clock are invalid.",
    "unsteady_max_percent": "Trials whose last third of samples lies further from the first are invalid.",
    "governor": "Trials under another frequency governor are invalid.",
}
"""What each condition's limit means."""


class ConditionsSection(create_model("_ConditionsSection", __base__=Section, **_CONDITIONS)):  # type: ignore[misc]
    """Bound the conditions of trials. An explicit null is no limit, and a key left out leaves the usual one."""
