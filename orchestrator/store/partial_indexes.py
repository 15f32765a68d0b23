"""Indexes over some of the rows; apart from `tables`, because SQLAlchemy loads every database's dialect for them."""

from __future__ import annotations

from sqlalchemy import Index, text

from orchestrator.store import tables as t

COUNTED_ONCE = Index(
    "uq_attempt_counted",
    t.attempt.c.trial_id,
    unique=True,
    sqlite_where=text("counted"),
    postgresql_where=text("counted"),
)
"""A trial has at most one counted attempt, whatever a program or a person writes."""

metadata = t.metadata
"""The whole schema: tables with these indexes."""
