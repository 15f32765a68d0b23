"""Turn single values into plain data, and plain data into JSON text safe for a terminal."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Set
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum

from orchestrator.reporting.text import escape_controls

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]


def to_json(value: object) -> Plain:
    """Turn a value into plain data: enums by value, times as ISO 8601 in UTC, bytes as base64, durations as seconds.

    NaN and infinite numbers are null, as is an unmeasured value. An object with fields needs a declared view
    (`reporting.shape`). Without a view only the object's text is printed.
    """
    # Enums first: a StrEnum is a str too.
    if isinstance(value, Enum):
        return to_json(value.value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    for kinds, convert in _CONVERSIONS:
        if isinstance(value, kinds):
            return convert(value)
    return str(value)


def json_text(value: object) -> str:
    """Return `to_json` as indented text, safe to print on a terminal."""
    return escape_controls(json.dumps(to_json(value), ensure_ascii=False, allow_nan=False, indent=2))


def json_line(value: object) -> str:
    """Return `to_json` on a single line, safe to print on a terminal."""
    return escape_controls(json.dumps(to_json(value), ensure_ascii=False, allow_nan=False))


def cell_value(value: object) -> object:
    """Return a value for a cell of a row. Bytes are hexadecimal, times are ISO 8601 in UTC, other values stay."""
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return to_json(value) if isinstance(value, datetime) else value


def _mapping(value: Mapping[object, object]) -> Plain:
    return {_key(key): to_json(item) for key, item in value.items()}


def _key(key: object) -> str:
    return str(key.value) if isinstance(key, Enum) else str(key)


def _datetime(value: datetime) -> Plain:
    # A database without time zones keeps UTC.
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _decimal(value: Decimal) -> Plain:
    if not value.is_finite():
        return None
    # PostgreSQL gives a sum of integers as a numeric.
    return int(value) if value == value.to_integral_value() else float(value)


_CONVERSIONS: tuple[tuple[type | tuple[type, ...], Callable[..., Plain]], ...] = (
    (Mapping, _mapping),
    ((list, tuple), lambda value: [to_json(item) for item in value]),
    # Sorted: the order of a set changes from one process to the next.
    (Set, lambda value: sorted((to_json(item) for item in value), key=str)),
    (datetime, _datetime),
    ((date, time), lambda value: value.isoformat()),
    (timedelta, lambda value: value.total_seconds()),
    (Decimal, _decimal),
    ((bytes, bytearray, memoryview), lambda value: base64.b64encode(value).decode("ascii")),
)
