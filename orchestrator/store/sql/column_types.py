"""Define column types with the same meaning on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, DateTime, Integer, String, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

Id = BigInteger().with_variant(Integer(), "sqlite")
"""A generated key of 64 bits. SQLite generates keys only for a column of the type name INTEGER."""


# Made once: json.dumps would make an encoder for each value.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: object) -> str:
    """Return the canonical text of a JSON value, with sorted keys and no spaces.

    Equal values have equal texts. Raise ValueError for an infinite number or NaN.
    """
    # As most lists of broken conditions are.
    return "[]" if value == [] else _CANONICAL.encode(value)


def read_json(text: bytes | str) -> Any:
    """Return a JSON value that PostgreSQL sent. Raise ValueError for anything else.

    Thousands of rows have the few settings of a sweep: the flat ones are read once, and copied.
    """
    text = text if isinstance(text, str) else bytes(text).decode()
    flat = _flat(text) if len(text) <= _FLAT_CHARACTERS_MAX else None
    return json.loads(text) if flat is None else dict(flat)


_FLAT_CHARACTERS_MAX = 200


@lru_cache(maxsize=1024)
def _flat(text: str) -> dict[str, Any] | None:
    """Return an object whose values hold no further value, so that a copy shares nothing. Return None for others."""
    value = json.loads(text)
    if not isinstance(value, dict) or any(isinstance(one, dict | list) for one in value.values()):
        return None
    return value


class UtcTime(TypeDecorator[datetime]):
    """Store a moment in UTC. A datetime without a time zone raises ValueError.

    PostgreSQL: `timestamptz`. SQLite: text such as `2026-03-01T08:30:00.000000Z`. The text sorts as time and suits
    SQLite's own date functions.
    """

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the column type for a dialect."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(DateTime(timezone=True))
        return dialect.type_descriptor(String(27))  # the length of the text with microseconds

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Return a moment in the driver's form."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = f"a moment without a time zone: {value}"
            raise ValueError(msg)
        moment = value if value.tzinfo is UTC else value.astimezone(UTC)
        if dialect.name == "postgresql":
            return moment
        # Always with microseconds: texts of different lengths would not sort as time.
        return f"{moment.isoformat(timespec='microseconds').removesuffix('+00:00')}Z"

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return a stored moment as a datetime in UTC."""
        if value is None:
            return None
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return moment.astimezone(UTC)


class Json(TypeDecorator[Any]):
    """Store a JSON value. None becomes NULL, never the JSON null.

    PostgreSQL: `jsonb`. SQLite: canonical text. `column ->> 'key'` is valid SQL on both.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the column type for a dialect."""
        if dialect.name == "postgresql":
            # Imported here, because users of SQLite need not wait for it.
            from sqlalchemy.dialects.postgresql import JSONB

            return dialect.type_descriptor(JSONB(none_as_null=True))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Return a JSON value in the driver's form."""
        # PostgreSQL's type serialises by itself, with the serialiser given to the engine.
        if value is None or dialect.name == "postgresql":
            return value
        return canonical_json(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Return a stored JSON value."""
        if value is None or dialect.name == "postgresql":
            return value
        return json.loads(value)
