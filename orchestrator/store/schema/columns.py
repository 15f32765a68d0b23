"""Make the columns shared by many tables, and name keys and indexes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Double, ForeignKey, MetaData, String, Text

from orchestrator.store.sql.column_types import Id

# Without names of our own SQLite's constraints would be nameless, and no migration could drop them.
metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def key() -> Column[int]:
    """Return the column `id`, a table's key."""
    return Column("id", Id, primary_key=True)


def reference(name: str, target: str, doc: str = "", **options: Any) -> Column[Any]:
    """Return a reference to a row of `target`, NOT NULL unless the options say otherwise."""
    return Column(name, ForeignKey(f"{target}.id"), doc=doc or f"The {target}.", **{"nullable": False, **options})


def text(name: str, doc: str, *, nullable: bool = False) -> Column[str]:
    """Return a column of text."""
    return Column(name, Text, nullable=nullable, doc=doc)


def sha256(name: str, doc: str, *, nullable: bool = False) -> Column[str]:
    """Return a column of SHA-256 hashes in hexadecimal digits."""
    return Column(name, String(64), nullable=nullable, doc=doc)


def number(name: str, doc: str) -> Column[float]:
    """Return a column of measured numbers, NULL for a number not measured."""
    return Column(name, Double, doc=doc)


def attempt_key() -> Column[Any]:
    """Return the attempt's id as the first part of a table's key."""
    return Column("attempt_id", ForeignKey("attempt.id"), primary_key=True, doc="The attempt.")


def metric_key() -> Column[str]:
    """Return the metric's name as the second part of a table's key."""
    return Column("metric", Text, primary_key=True, doc="The metric's name, which ends in its unit.")
