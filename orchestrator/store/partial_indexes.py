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

_MEASURES = text("granted_at IS NOT NULL AND ended_at IS NULL AND exclusive AND run_id IS NOT NULL")
_RESERVES = text("granted_at IS NOT NULL AND ended_at IS NULL AND exclusive AND run_id IS NULL")

HELD_BY_ONE_RUN = Index(
    "uq_lease_run",
    t.lease.c.device_id,
    unique=True,
    sqlite_where=_MEASURES,
    postgresql_where=_MEASURES,
)
"""A device is measured by at most one run, whatever a program writes."""

RESERVED_ONCE = Index(
    "uq_lease_reservation",
    t.lease.c.device_id,
    unique=True,
    sqlite_where=_RESERVES,
    postgresql_where=_RESERVES,
)
"""A device is reserved by at most one person."""

_QUARANTINED = text("ended_at IS NULL")

QUARANTINED_ONCE = Index(
    "uq_quarantine_device",
    t.quarantine.c.device_id,
    unique=True,
    sqlite_where=_QUARANTINED,
    postgresql_where=_QUARANTINED,
)
"""A device is in quarantine or not, for one reason."""

metadata = t.metadata
"""The whole schema: tables with these indexes."""
