"""Hold the revision of a database's schema."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Hold a database's URL without the password, the schema's revision, and the revision wanted by the code.

    `revision` is None before there is a schema.
    """

    database: str
    revision: str | None
    wanted: str


@dataclass(frozen=True, slots=True)
class Relation:
    """Describe a view or a table to people who write SQL. `columns` are names with meanings."""

    name: str
    meaning: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class CopiedTable:
    """Hold how many rows of a table were copied."""

    table: str
    rows: int


@dataclass(frozen=True, slots=True)
class DatabaseCopy:
    """Hold what was copied from one database into another. Both URLs are without passwords."""

    source: str
    target: str
    tables: tuple[CopiedTable, ...]
