"""Take checked values out of a JSON object that another program wrote.

A wrong value raises BadField with its path: `plan: trials[3].job: expected text, got 7`. Unknown fields are ignored, so
that a newer peer may add fields.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False  # importing typing costs a device milliseconds at every start
if TYPE_CHECKING:
    from typing import Any, Callable, TypeVar

    Taken = TypeVar("Taken")

_HEX_DIGITS = frozenset("0123456789abcdef")
_SHOWN_CHARACTERS_MAX = 80
_MISSING = object()


class BadField(ValueError):
    """The field is missing, or has a value of another kind than expected. The message begins with the path."""


def is_sha256(text: object) -> bool:
    """Return True for a SHA-256 in lower-case hex. Such a text is safe as a file's name."""
    return isinstance(text, str) and len(text) == 64 and _HEX_DIGITS.issuperset(text)


def is_number(value: object) -> bool:
    """Return True for a JSON number within the range of a double. Neither true nor false is a number."""
    if type(value) is int:
        # JSON has whole numbers of any length, and mixing a longer one with a float raises OverflowError much later.
        return abs(value) < 1 << 1023
    return type(value) is float and abs(value) < float("inf")  # false for NaN as well


class Fields:
    """The fields of a JSON object. `place` is the object's path for messages, such as `plan: jobs[0]`.

    All methods that return a value raise BadField if the field is missing or wrong.
    """

    __slots__ = ("_content", "_place")

    def __init__(self, content: object, place: str) -> None:
        self._place = place
        if not isinstance(content, dict):
            raise BadField(f"{place}: expected an object, got {_shown(content)}")
        self._content: dict[str, Any] = content

    def to_json(self) -> dict[str, object]:
        """Return the object itself, to be passed on unread."""
        return self._content

    def names(self) -> list[str]:
        """Return the names of all fields, known or not."""
        return list(self._content)

    def get(self, key: str) -> object:
        """Return a value unchecked, or None if missing."""
        return self._content.get(key)

    def path(self, key: str) -> str:
        """Return the path of a field: `plan: seed`, `plan: jobs[0].engine`."""
        return f"{self._place}.{key}" if ": " in self._place else f"{self._place}: {key}"

    def refuse(self, key: str, problem: str) -> BadField:
        """Return the error for a field, with the path, the problem and the present value."""
        return BadField(f"{self.path(key)}: {problem}, got {_shown(self._content.get(key))}")

    def take(self, key: str, accepts: Callable[[Any], bool], expected: str) -> Any:
        """Return a value accepted by the test `accepts`. `expected` is the text for the error otherwise."""
        value = self._content.get(key, _MISSING)
        if value is _MISSING:
            raise BadField(f"{self.path(key)}: missing, expected {expected}")
        if not accepts(value):
            raise self.refuse(key, f"expected {expected}")
        return value

    def text(self, key: str) -> str:
        """Return a text."""
        text: str = self.take(key, _is_text, "text")
        return text

    def whole(self, key: str, least: int = 0) -> int:
        """Return a whole number of at least `least`."""
        number: int = self.take(key, lambda value: type(value) is int and is_number(value), "a whole number")
        if number < least:
            raise self.refuse(key, f"expected a whole number of at least {least}")
        return number

    def integer(self, key: str) -> int:
        """Return a whole number of either sign."""
        number: int = self.take(key, lambda value: type(value) is int, "a whole number")
        return number

    def amount(self, key: str) -> float:
        """Return a number that is not negative."""
        number: float = self.take(key, lambda value: is_number(value) and value >= 0, "a number of at least 0")
        return number

    def number(self, key: str) -> float:
        """Return a number of either sign."""
        number: float = self.take(key, is_number, "a number")
        return number

    def flag(self, key: str) -> bool:
        """Return true or false."""
        flag: bool = self.take(key, lambda value: type(value) is bool, "true or false")
        return flag

    def sha256(self, key: str) -> str:
        """Return a SHA-256 in lower-case hex."""
        digest: str = self.take(key, is_sha256, "a SHA-256 in lower-case hex")
        return digest

    def texts(self, key: str) -> list[str]:
        """Return a list of texts."""
        return self._items(key, _is_text, "text")

    def sha256s(self, key: str) -> list[str]:
        """Return a list of SHA-256."""
        return self._items(key, is_sha256, "a SHA-256 in lower-case hex")

    def scalars(self, key: str) -> dict[str, Any]:
        """Return an object with any names. Each value must be text, a number, true or false."""
        section = self.section(key)
        return {name: section.take(name, _is_scalar, "text, a number, true or false") for name in section.names()}

    def section(self, key: str) -> Fields:
        """Return the fields of an object."""
        return Fields(self.take(key, _is_object, "an object"), self.path(key))

    def sections(self, key: str) -> list[Fields]:
        """Return the fields of each object of a list."""
        content: list[object] = self.take(key, _is_list, "a list")
        return [Fields(item, f"{self.path(key)}[{index}]") for index, item in enumerate(content)]

    def nullable(self, key: str, take: Callable[[str], Taken]) -> Taken | None:
        """Return the value of a required field, or None for null."""
        # A missing field is an error here: otherwise a misspelt key would silently mean null.
        return None if self._content.get(key, _MISSING) is None else take(key)

    def optional(self, key: str, take: Callable[[str], Taken]) -> Taken | None:
        """Return the value of an optional field, or None if the field is missing or null."""
        return None if self._content.get(key) is None else take(key)

    def _items(self, key: str, accepts: Callable[[object], bool], expected: str) -> list[Any]:
        items: list[object] = self.take(key, _is_list, "a list")
        for index, item in enumerate(items):
            if not accepts(item):
                raise BadField(f"{self.path(key)}[{index}]: expected {expected}, got {_shown(item)}")
        return items


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_scalar(value: object) -> bool:
    return isinstance(value, (bool, str)) or is_number(value)


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _shown(value: object) -> str:
    """Return a value as short text for a message."""
    # A peer may send megabytes.
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str) and len(value) > _SHOWN_CHARACTERS_MAX:
        return json.dumps(value[:_SHOWN_CHARACTERS_MAX]) + "…"
    if type(value) is int and not is_number(value):
        return "a number of hundreds of digits"
    return json.dumps(value)
