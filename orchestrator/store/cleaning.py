"""Make what a device says safe to store and to show: bounded, finite, without control characters.

A device is hostile input: its programs are other people's, and its text ends up in terminals and in both databases.
"""

from __future__ import annotations

import math
import re
from typing import Any

from device_worker.protocol.limits import INTEGER_MAX, JSON_DEPTH_MAX, JSON_VALUES_MAX

_JSON_TEXT_MAX = 4_000

# C0 and C1 controls but newline and tab, lone surrogates, and the marks that reorder text around them
_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Unfit(ValueError):
    """A value is not what its place asks for; the message says why."""


def clean_text(text: str, limit: int) -> str:
    """Return the text without control characters, cut to `limit` characters."""
    cleaned = text if text.isprintable() else _UNWANTED.sub("", text)  # nothing unwanted is printable
    return cleaned if len(cleaned) <= limit else f"{cleaned[: limit - 1]}…"


def clean_tail(text: str, limit: int) -> str:
    """Return the end of the text, where errors are, without control characters."""
    return clean_text(text, len(text))[-limit:] if text else ""


def clean_json(value: Any) -> Any:
    """Return a JSON value with clean texts; raise Unfit for one that is too deep, too large or not finite."""
    return _Cleaner().clean(value, 0)


class _Cleaner:
    """Counts values over one whole document."""

    def __init__(self) -> None:
        self._values = 0

    def clean(self, value: Any, depth: int) -> Any:
        self._values += 1
        if depth > JSON_DEPTH_MAX:
            raise Unfit(f"nested deeper than {JSON_DEPTH_MAX}")
        if self._values > JSON_VALUES_MAX:
            raise Unfit(f"more than {JSON_VALUES_MAX} values")
        if isinstance(value, str):
            return clean_text(value, _JSON_TEXT_MAX)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return value if abs(value) <= INTEGER_MAX else float(_finite(value))
        if isinstance(value, float):
            return _finite(value)
        if isinstance(value, dict):
            return {clean_text(str(key), 200): self.clean(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.clean(inner, depth + 1) for inner in value]
        raise Unfit(f"a {type(value).__name__} is not JSON")


def _finite(value: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        raise Unfit("a number too large") from None
    if not math.isfinite(number):
        raise Unfit("a number that is not finite")
    return number
