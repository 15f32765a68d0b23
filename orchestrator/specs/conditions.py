"""Declare the limits of conditions, as inventories and sweeps have them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, create_model

from orchestrator.domain.device import CONDITION_LIMITS
from orchestrator.specs.schema import Section

_CONDITIONS: dict[str, Any] = {
    key: (Annotated[float, Field(gt=0, le=most)] | None, None) for key, most in CONDITION_LIMITS.items()
}


class ConditionsSection(create_model("_ConditionsSection", __base__=Section, **_CONDITIONS)):  # type: ignore[misc]
    """Bound the conditions of trials. An explicit null is no limit, and a key left out leaves the usual one."""
