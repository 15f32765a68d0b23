"""The JSON twin of everything that is printed: plain data with stable keys."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Set
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum

from orchestrator.domain.errors import DeviceError, OrchestratorError
from orchestrator.domain.plan import DevicePlan
from orchestrator.reporting.text import escape_controls

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]


def to_json(value: object) -> Plain:
    """Turn any value of the domain into plain data: fields by name, enums by value, times as ISO 8601 in UTC.

    What is not a number (NaN, infinite) is null, as is what was not measured. Bytes are base64, durations seconds.
    """
    if isinstance(value, Enum):
        return to_json(value.value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    for kinds, convert in _CONVERSIONS:
        if isinstance(value, kinds):
            return convert(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return str(value)


def json_text(value: object) -> str:
    """Return `to_json` as indented text that is safe to print on a terminal."""
    return escape_controls(json.dumps(to_json(value), ensure_ascii=False, allow_nan=False, indent=2))


def json_line(value: object) -> str:
    """Return `to_json` on one line that is safe to print on a terminal."""
    return escape_controls(json.dumps(to_json(value), ensure_ascii=False, allow_nan=False))


def _mapping(value: Mapping[object, object]) -> Plain:
    return {_key(key): to_json(item) for key, item in value.items()}


def _key(key: object) -> str:
    return str(key.value) if isinstance(key, Enum) else str(key)


def _device_plan(plan: DevicePlan) -> Plain:
    """Show the shipped document itself, and beside it only what it does not say."""
    return {
        "device": plan.device,
        "sha256": plan.sha256,
        "estimate_s": to_json(plan.estimate_s),
        "excluded": to_json(plan.excluded),
        "document": json.loads(plan.document),
    }


def _error(error: OrchestratorError) -> Plain:
    plain: dict[str, Plain] = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
    if isinstance(error, DeviceError):
        plain |= {"device": error.device or None, "step": error.step or None}
    return plain


def _datetime(value: datetime) -> Plain:
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _decimal(value: Decimal) -> Plain:
    if not value.is_finite():
        return None
    return int(value) if value == value.to_integral_value() else float(value)


_CONVERSIONS: tuple[tuple[type | tuple[type, ...], Callable[..., Plain]], ...] = (
    (DevicePlan, _device_plan),
    (OrchestratorError, _error),
    (Mapping, _mapping),
    ((list, tuple), lambda value: [to_json(item) for item in value]),
    (Set, lambda value: sorted((to_json(item) for item in value), key=str)),
    (datetime, _datetime),
    ((date, time), lambda value: value.isoformat()),
    (timedelta, lambda value: value.total_seconds()),
    (Decimal, _decimal),
    ((bytes, bytearray, memoryview), lambda value: base64.b64encode(value).decode("ascii")),
)
