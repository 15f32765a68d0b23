"""Write readings and facts of devices for people: with units, three significant digits, and times as times."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from orchestrator.domain.metric import Unit, metric_named
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.text import ABSENT

_CLOCK = "_unix_ns"
_PERCENT = "_percent"
_WHOLE_MAX = 1_000_000
"""Whole numbers without a unit are counts below this, and shortened from here on."""


def reading(value: Any, name: str) -> str:
    """Return a value by the unit at the end of its name. A device may have said anything."""
    if value is None or value == "":
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        parts = [f"{key}: {reading(part, _unit_of(str(key), name))}" for key, part in value.items() if part is not None]
        return ", ".join(parts) or ABSENT
    if isinstance(value, list | tuple):
        return ", ".join(reading(part, name) for part in value) or ABSENT
    return _number(value, name) if isinstance(value, int | float) else str(value)


def change(before: Any, after: Any, name: str) -> str:
    """Return a reading before and after, and one text where both read the same."""
    old, new = reading(before, name), reading(after, name)
    return old if old == new else f"{old} → {new}"


def _unit_of(key: str, above: str) -> str:
    """Return the name whose end says the unit of a part: its own, or that of the reading above."""
    return above if metric_named(key).unit is Unit.NUMBER else key


def fact(text: str, name: str) -> str:
    """Return a fact of a comparison: a number with a unit is a reading, every other text stays."""
    # Without a unit a number may be a version, which has no digits to lose.
    if metric_named(name).unit is Unit.NUMBER:
        return text
    try:
        return _number(float(text), name)
    except ValueError:
        return text


def _number(value: float, name: str) -> str:
    if name.endswith(_CLOCK):
        return _moment(value)
    try:
        amount = float(value)
    except OverflowError:  # JSON knows no largest number
        return ABSENT
    if name.endswith(_PERCENT) and math.isfinite(amount):
        return f"{numbers.digits(amount)} %"
    unit = metric_named(name).unit
    if unit is Unit.NUMBER and isinstance(value, int) and abs(value) < _WHOLE_MAX:
        return str(value)
    return numbers.quantity(amount, unit)


def _moment(unix_ns: float) -> str:
    try:
        return datetime.fromtimestamp(unix_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return ABSENT
