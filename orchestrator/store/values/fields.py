"""Take typed values out of an unchecked JSON object."""

from __future__ import annotations

import binascii
import math
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from device_worker.protocol.limits import INTEGER_MAX, NAME_CHARACTERS_MAX
from orchestrator.store.values.hygiene import Unfit, clean_json

T = TypeVar("T")


class Fields:
    """Read the fields of an object by type. Each method raises Unfit, naming the field, for a wrong value."""

    __slots__ = ("_values",)

    def __init__(self, values: object, what: str = "it") -> None:
        if not isinstance(values, dict):
            raise Unfit(f"{what} is not an object")
        self._values: Mapping[str, Any] = values

    def name(self, field: str, limit: int = NAME_CHARACTERS_MAX) -> str:
        """Return a name: a printable text of 1 to `limit` characters, never altered."""
        value = self._values.get(field)
        if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= limit:
            raise Unfit(f"{field} is not a name: {value!r:.60}")
        return value

    def one_of(self, field: str, choices: Sequence[str]) -> str:
        """Return a text out of `choices`."""
        value = self._values.get(field)
        if not isinstance(value, str) or value not in choices:
            raise Unfit(f"{field} is not {' or '.join(choices)}: {value!r:.60}")
        return value

    def text(self, field: str) -> str:
        """Return a text unaltered, or "" for a missing field."""
        value = self._values.get(field)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise Unfit(f"{field} is not text")
        return value

    def integer(self, field: str, low: int = 0, high: int = INTEGER_MAX) -> int:
        """Return a whole number from `low` to `high`."""
        value = self._values.get(field)
        # Not isinstance, because True is an int.
        if type(value) is not int or not low <= value <= high:
            raise Unfit(f"{field} is not a whole number from {low} to {high}: {value!r:.60}")
        return value

    def optional_integer(self, field: str, low: int, high: int) -> int | None:
        """Return a whole number from `low` to `high`, or None for a missing or null field."""
        return None if self._values.get(field) is None else self.integer(field, low, high)

    def flag(self, field: str) -> bool:
        """Return a boolean."""
        value = self._values.get(field)
        if not isinstance(value, bool):
            raise Unfit(f"{field} is not true or false: {value!r:.60}")
        return value

    def number(self, field: str) -> float:
        """Return a finite number."""
        value = self._values.get(field)
        # Not isinstance, because True is an int.
        if type(value) is not float and type(value) is not int:
            raise Unfit(f"{field} is not a number: {value!r:.60}")
        try:
            number = float(value)
        except OverflowError:  # JSON allows integers of any length
            number = math.inf
        if not math.isfinite(number):
            raise Unfit(f"{field} is not a finite number")
        return number

    def has(self, field: str) -> bool:
        """Return True unless a field is missing or null."""
        return self._values.get(field) is not None

    def optional(self, field: str, take: Callable[[str], T]) -> T | None:
        """Return the field as read by `take`, or None for a missing or null field."""
        return None if self._values.get(field) is None else take(field)

    def document(self, field: str) -> dict[str, Any]:
        """Return a whole JSON object with clean texts and bounded size."""
        value = self._values.get(field)
        if not isinstance(value, dict):
            raise Unfit(f"{field} is not an object")
        try:
            cleaned: dict[str, Any] = clean_json(value)
        except Unfit as error:
            raise Unfit(f"{field}: {error}") from None
        return cleaned

    def base64(self, field: str) -> bytes:
        """Return the bytes of a text in base64."""
        try:
            return b64decode(self.text(field), validate=True)
        except (binascii.Error, ValueError):
            raise Unfit(f"{field} is not base64") from None

    def items(self, field: str, limit: int) -> Sequence[Any]:
        """Return a list of at most `limit` elements, or an empty list for a missing field."""
        value = self._values.get(field)
        if value is None:
            return ()
        if not isinstance(value, list) or len(value) > limit:
            raise Unfit(f"{field} is not a list of at most {limit}")
        return value

    def inner(self, field: str) -> Fields:
        """Return the fields of a nested object."""
        return Fields(self._values.get(field), field)
