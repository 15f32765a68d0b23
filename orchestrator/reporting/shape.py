"""Declare results as data: every key with kind and meaning.

A declaration gives three things: the plain data, the JSON Schema, and the section of docs/json.md. Keys are public: a
rename of a field in the domain must never rename a key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

from orchestrator.reporting.formats.plain_data import Plain, to_json

T = TypeVar("T")
Schema = dict[str, Any]
DEFINITIONS = "#/$defs/"


class Kind(Protocol):
    """Turn the values of a key into plain data, and describe the plain data by a JSON Schema."""

    @property
    def words(self) -> str:
        """Return the kind in the words of docs/json.md."""

    def plain(self, value: Any) -> Plain:
        """Turn a value into plain data."""

    def schema(self) -> Schema:
        """Return the JSON Schema of the plain data. Views are references."""

    def views(self) -> Iterator[View[Any]]:
        """Yield the views named directly by the kind."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """Hold the kind of a single value."""

    words: str
    json: Schema
    convert: Callable[[Any], Plain] = to_json

    def plain(self, value: Any) -> Plain:
        """Turn a value into plain data."""
        return self.convert(value)

    def schema(self) -> Schema:
        """Return the JSON Schema of a value."""
        return dict(self.json)

    def views(self) -> Iterator[View[Any]]:
        """Yield no view: a single value has none."""
        yield from ()


TEXT = Scalar("text", {"type": "string"}, str)
INTEGER = Scalar("integer", {"type": "integer"})
NUMBER = Scalar("number", {"type": "number"})
BOOLEAN = Scalar("true or false", {"type": "boolean"})
TIME = Scalar("time", {"type": "string", "format": "date-time"})
SETTING = Scalar("text, number or boolean", {"type": ["string", "number", "boolean"]})
FREE = Scalar("any JSON", {})
"""Words of a device or a person. benchfleet promises nothing about the keys."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """Hold the kind of an enum's words."""

    members: type[Enum]

    @property
    def words(self) -> str:
        """Return the possible words."""
        return " / ".join(f"`{member.value}`" for member in self.members)

    def plain(self, value: Any) -> Plain:
        """Return the member's word."""
        return to_json(value)

    def schema(self) -> Schema:
        """Return the JSON Schema of a word."""
        return {"enum": [member.value for member in self.members]}

    def views(self) -> Iterator[View[Any]]:
        """Yield no view: an enum has none."""
        yield from ()


@dataclass(frozen=True, slots=True)
class OrNull:
    """Hold a kind with null for unknown values."""

    kind: Kind

    @property
    def words(self) -> str:
        """Return the kind, and the words `or null`."""
        return f"{self.kind.words}, or null"

    def plain(self, value: Any) -> Plain:
        """Turn a value into plain data. None stays None."""
        return None if value is None else self.kind.plain(value)

    def schema(self) -> Schema:
        """Return the JSON Schema of a value or null."""
        # Not a list of types, since a reference to a view has no type.
        return {"anyOf": [self.kind.schema(), {"type": "null"}]}

    def views(self) -> Iterator[View[Any]]:
        """Yield the views of the kind."""
        return self.kind.views()


@dataclass(frozen=True, slots=True)
class ListOf:
    """Hold values in order."""

    kind: Kind

    @property
    def words(self) -> str:
        """Return the kind of the list's values."""
        return f"list of {self.kind.words}"

    def plain(self, value: Iterable[Any]) -> Plain:
        """Turn each value into plain data."""
        return [self.kind.plain(item) for item in value]

    def schema(self) -> Schema:
        """Return the JSON Schema of the list."""
        return {"type": "array", "items": self.kind.schema()}

    def views(self) -> Iterator[View[Any]]:
        """Yield the views of the items."""
        return self.kind.views()


@dataclass(frozen=True, slots=True)
class MapOf:
    """Hold values by names chosen by a person, a device or a model."""

    kind: Kind
    by: str

    @property
    def words(self) -> str:
        """Return the kind of the map's values, and the kind of the names."""
        return f"{self.kind.words}, by {self.by}"

    def plain(self, value: Mapping[Any, Any]) -> Plain:
        """Turn each value into plain data."""
        return {str(to_json(key)): self.kind.plain(item) for key, item in value.items()}

    def schema(self) -> Schema:
        """Return the JSON Schema of the map."""
        return {"type": "object", "additionalProperties": self.kind.schema()}

    def views(self) -> Iterator[View[Any]]:
        """Yield the views of the values."""
        return self.kind.views()


@dataclass(frozen=True, slots=True)
class Key(Generic[T]):
    """Hold a key of a view: name, kind, meaning, and the function to read the value.

    `present` decides whether the object has the key. None: always.
    """

    name: str
    kind: Kind
    meaning: str
    read: Callable[[T], object]
    present: Callable[[T], bool] | None = None


@dataclass(frozen=True)  # no slots: `View[T](...)` fails on a frozen class with slots in Python 3.11
class View(Generic[T]):
    """Declare an object with keys, under a unique name."""

    name: str
    about: str
    keys: tuple[Key[T], ...]

    @property
    def words(self) -> str:
        """Return a link to the view's section of docs/json.md."""
        return f"[{self.name}](#{self.name})"

    def plain(self, value: T) -> dict[str, Plain]:
        """Return the object, with keys in the declared order."""
        return {
            key.name: key.kind.plain(key.read(value)) for key in self.keys if key.present is None or key.present(value)
        }

    def schema(self) -> Schema:
        """Return a reference to the view's definition."""
        return {"$ref": f"{DEFINITIONS}{self.name}"}

    def definition(self) -> Schema:
        """Return the JSON Schema of the object itself. Unknown keys are valid: a later version may add keys."""
        return {
            "description": self.about,
            "type": "object",
            "properties": {key.name: {"description": key.meaning, **key.kind.schema()} for key in self.keys},
            # A key that some objects lack, such as the device of an error, cannot be required.
            "required": [key.name for key in self.keys if key.present is None],
        }

    def views(self) -> Iterator[View[Any]]:
        """Yield the view."""
        yield self


@dataclass(frozen=True, slots=True)
class Later:
    """Refer to a view declared further down, or to a view within itself."""

    view: Callable[[], View[Any]]

    @property
    def words(self) -> str:
        """Return a link to the view's section of docs/json.md."""
        return self.view().words

    def plain(self, value: Any) -> Plain:
        """Return the object."""
        return self.view().plain(value)

    def schema(self) -> Schema:
        """Return a reference to the view's definition."""
        return self.view().schema()

    def views(self) -> Iterator[View[Any]]:
        """Yield the view."""
        yield self.view()


@dataclass(frozen=True)  # no slots: `Shape[T](...)` fails on a frozen class with slots in Python 3.11
class Shape(Generic[T]):
    """Hold the shape of a command's result: the JSON, and the flat rows of CSV and Markdown.

    `rows` divides the result into values for `row`. Each key of `row` is a column of single values.
    """

    json: Kind
    row: View[Any]
    rows: Callable[[T], Iterable[Any]]

    def columns(self) -> Sequence[str]:
        """Return the names of the columns."""
        return [key.name for key in self.row.keys]

    def lines(self, value: T) -> Iterator[Sequence[Plain]]:
        """Yield the rows as the values come."""
        for item in self.rows(value):
            yield [key.kind.plain(key.read(item)) for key in self.row.keys]


def all_views(kinds: Iterable[Kind]) -> Mapping[str, View[Any]]:
    """Return every view of some kinds, at any depth, by name, in the order of first mention."""
    found: dict[str, View[Any]] = {}
    waiting = [view for kind in kinds for view in kind.views()]
    while waiting:
        view = waiting.pop(0)
        if view.name in found:
            # A second view of one name would silently take the place of the first in the schema.
            if found[view.name] is not view:
                raise ValueError(f"two views are called {view.name!r}")
            continue
        found[view.name] = view
        waiting += [inner for key in view.keys for inner in key.kind.views()]
    return found
