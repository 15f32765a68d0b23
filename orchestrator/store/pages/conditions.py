"""Read single conditions out of what a device said. A device may say anything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def number(value: Any) -> float | None:
    """Return a finite number, or None for anything else."""
    # True is an int to Python, and no temperature.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def clock(conditions: Mapping[str, Any]) -> float | None:
    """Return the processor's clock in MHz, or None."""
    return number(conditions.get("cpu_mhz"))


def flag(conditions: Mapping[str, Any], name: str) -> bool | None:
    """Return a condition of yes or no, or None."""
    value = conditions.get(name)
    return value if isinstance(value, bool) else None
