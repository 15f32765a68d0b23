"""Column types that mean the same on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Integer, String, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

Id = BigInteger().with_variant(Integer(), "sqlite")
"""A generated key: SQLite generates only for a column that is called INTEGER, which holds 64 bits there."""


def canonical_json(value: object) -> str:
    """Return the one text of a JSON value: sorted keys, no spaces, so that equal values are equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class UtcTime(TypeDecorator[datetime]):
    """A moment in UTC.

    PostgreSQL: `timestamptz`. SQLite: text such as `2026-03-01T08:30:00.000000Z`, which sorts as time, reads as time
    and is understood by SQLite's own date functions. Naive moments are refused.
    """

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type of this database."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(DateTime(timezone=True))
        return dialect.type_descriptor(String(27))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Return what the driver takes."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = f"a moment without a time zone: {value}"
            raise ValueError(msg)
        moment = value.astimezone(UTC)
        if dialect.name == "postgresql":
            return moment
        return f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return an aware datetime in UTC."""
        if value is None:
            return None
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return moment.astimezone(UTC)


class Json(TypeDecorator[Any]):
    """A JSON value, canonical; None is NULL, never the JSON null.

    PostgreSQL: `jsonb`. SQLite: text. `column ->> 'key'` is good SQL on both.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type of this database."""
        if dialect.name == "postgresql":
            from sqlalchemy.dialects.postgresql import JSONB

            return dialect.type_descriptor(JSONB(none_as_null=True))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Return what the driver takes; PostgreSQL's type serialises by itself (see `engine`)."""
        if value is None or dialect.name == "postgresql":
            return value
        return canonical_json(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Return the value."""
        if value is None or dialect.name == "postgresql":
            return value
        return json.loads(value)
