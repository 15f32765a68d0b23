"""Make texts and values from a device safe to store and to show: bounded, finite, without control characters.

A device's output is hostile input. The programs there are other people's. The texts end up in terminals and in both
databases.
"""

from __future__ import annotations

import math
import re
from typing import Any

from device_worker.protocol.limits import INTEGER_MAX, JSON_DEPTH_MAX, JSON_VALUES_MAX

_JSON_TEXT_MAX = 4_000
_JSON_KEY_MAX = 200
_LOOKED_AT_MAX = math.isqrt(JSON_VALUES_MAX)  # so many objects of so many values are still few enough

# C0 and C1 controls but newline and tab, lone surrogates (no database stores them), and the marks that reorder text:
# a terminal would obey the first, and a reader be misled by the last.
_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Unfit(ValueError):
    """Refuse a value. The message says why."""


def clean_text(text: str, limit: int) -> str:
    """Return the text without control characters, cut to `limit` characters."""
    # Nothing unwanted is printable. The test is much faster than the expression, and every record has some 30 texts.
    cleaned = text if text.isprintable() else _UNWANTED.sub("", text)
    return cleaned if len(cleaned) <= limit else f"{cleaned[: limit - 1]}…"


def clean_tail(text: str, limit: int) -> str:
    """Return the last `limit` characters of the text, where errors stand, without control characters."""
    return clean_text(text, len(text))[-limit:] if text else ""


def clean_json(value: Any) -> Any:
    """Return a JSON value with clean texts. Raise Unfit for a value too deep, too large or not finite."""
    # Nearly every document of a device is small and clean already: looking takes a fifth of copying.
    return value if type(value) is dict and _is_clean(value, may_nest=True) else _Cleaner().clean(value, 0)


def _is_clean(document: dict[Any, Any], *, may_nest: bool) -> bool:
    """Return True if cleaning would change nothing. Return False for any doubt, and for lists."""
    if len(document) >= _LOOKED_AT_MAX:
        return False
    for key, value in document.items():
        if type(key) is not str or len(key) > _JSON_KEY_MAX or not key.isprintable():
            return False
        # Written out rather than called: each record has some thirty values. True is no number here.
        kind = type(value)
        if kind is float:
            is_clean = -math.inf < value < math.inf
        elif kind is int:
            is_clean = -INTEGER_MAX <= value <= INTEGER_MAX
        elif kind is str:
            is_clean = len(value) <= _JSON_TEXT_MAX and value.isprintable()
        elif kind is dict:  # conditions tell there why a reading is unknown
            is_clean = may_nest and _is_clean(value, may_nest=False)
        else:
            is_clean = value is None or kind is bool
        if not is_clean:
            return False
    return True


class _Cleaner:
    """Clean a document, and count the values over all depths."""

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
            # Neither database has integers of more than 64 bits.
            return value if abs(value) <= INTEGER_MAX else float(_finite(value))
        if isinstance(value, float):
            return _finite(value)
        if isinstance(value, dict):
            return {clean_text(str(key), _JSON_KEY_MAX): self.clean(inner, depth + 1) for key, inner in value.items()}
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
