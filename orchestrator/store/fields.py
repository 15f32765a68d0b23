"""Take typed values out of a JSON object that nobody has checked yet."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from device_worker.protocol.limits import INTEGER_MAX, NAME_CHARACTERS_MAX
from orchestrator.store.cleaning import Unfit, clean_json

T = TypeVar("T")


class Fields:
    """The fields of one object; each method raises Unfit naming the field that is not what it should be."""

    def __init__(self, values: object, what: str = "it") -> None:
        if not isinstance(values, dict):
            raise Unfit(f"{what} is not an object")
        self._values: Mapping[str, Any] = values

    def name(self, field: str, limit: int = NAME_CHARACTERS_MAX) -> str:
        """Return a text that names something: not empty, printable, never altered."""
        value = self._values.get(field)
        if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= limit:
            raise Unfit(f"{field} is not a name: {value!r:.60}")
        return value

    def one_of(self, field: str, choices: Sequence[str]) -> str:
        """Return a text that is one of `choices`."""
        value = self._values.get(field)
        if not isinstance(value, str) or value not in choices:
            raise Unfit(f"{field} is not {' or '.join(choices)}: {value!r:.60}")
        return value

    def text(self, field: str) -> str:
        """Return a text as it came; "" where there is none."""
        value = self._values.get(field)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise Unfit(f"{field} is not text")
        return value

    def integer(self, field: str, low: int = 0, high: int = INTEGER_MAX) -> int:
        """Return a whole number within bounds."""
        value = self._values.get(field)
        if type(value) is not int or not low <= value <= high:
            raise Unfit(f"{field} is not a whole number from {low} to {high}: {value!r:.60}")
        return value

    def number(self, field: str) -> float:
        """Return a finite number."""
        value = self._values.get(field)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Unfit(f"{field} is not a number: {value!r:.60}")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise Unfit(f"{field} is not a finite number")
        return number

    def optional(self, field: str, take: Callable[[str], T]) -> T | None:
        """Return what `take` returns, or None where the field is missing or null."""
        return None if self._values.get(field) is None else take(field)

    def document(self, field: str) -> dict[str, Any]:
        """Return a whole JSON object, cleaned."""
        value = self._values.get(field)
        if not isinstance(value, dict):
            raise Unfit(f"{field} is not an object")
        try:
            cleaned: dict[str, Any] = clean_json(value)
        except Unfit as error:
            raise Unfit(f"{field}: {error}") from None
        return cleaned

    def items(self, field: str, limit: int) -> Sequence[Any]:
        """Return a list of at most `limit` elements; empty where there is none."""
        value = self._values.get(field)
        if value is None:
            return ()
        if not isinstance(value, list) or len(value) > limit:
            raise Unfit(f"{field} is not a list of at most {limit}")
        return value

    def inner(self, field: str) -> Fields:
        """Return the fields of an object within."""
        return Fields(self._values.get(field), field)
