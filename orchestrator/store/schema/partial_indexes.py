"""Define indexes over some of a table's rows.

Partial indexes are apart from `tables`, because SQLAlchemy loads the dialects of all databases for partial indexes.
"""

from __future__ import annotations

from sqlalchemy import Index, text

from orchestrator.store.schema import tables as t

COUNTED_ONCE = Index(
    "uq_attempt_counted",
    t.attempt.c.trial_id,
    unique=True,
    sqlite_where=text("counted"),
    postgresql_where=text("counted"),
)
"""Keep a trial to at most one counted attempt, whoever writes."""

_UNFIT = text("NOT counted AND outcome = 'ok'")

UNFIT = Index("ix_attempt_unfit", t.attempt.c.trial_id, sqlite_where=_UNFIT, postgresql_where=_UNFIT)
"""Lead to the few attempts that broke a condition: `v_invalid` would read every attempt."""

_MEASURES = text("granted_at IS NOT NULL AND ended_at IS NULL AND exclusive AND run_id IS NOT NULL")
_RESERVES = text("granted_at IS NOT NULL AND ended_at IS NULL AND exclusive AND run_id IS NULL")

HELD_BY_ONE_RUN = Index(
    "uq_lease_run",
    t.lease.c.device_id,
    unique=True,
    sqlite_where=_MEASURES,
    postgresql_where=_MEASURES,
)
"""Keep a device to at most one measuring run, whoever writes."""

RESERVED_ONCE = Index(
    "uq_lease_reservation",
    t.lease.c.device_id,
    unique=True,
    sqlite_where=_RESERVES,
    postgresql_where=_RESERVES,
)
"""Keep a device to at most one reservation."""

_QUARANTINED = text("ended_at IS NULL")

QUARANTINED_ONCE = Index(
    "uq_quarantine_device",
    t.quarantine.c.device_id,
    unique=True,
    sqlite_where=_QUARANTINED,
    postgresql_where=_QUARANTINED,
)
"""Keep a device to at most one open quarantine."""

_OPEN = text("state IN ('detected', 'confirmed', 'acknowledged')")

OPEN_ONCE = Index(
    "uq_regression_open",
    t.regression.c.nightly,
    t.regression.c.series_id,
    t.regression.c.metric,
    t.regression.c.direction,
    unique=True,
    sqlite_where=_OPEN,
    postgresql_where=_OPEN,
)
"""Keep a series to at most one open regression of a metric and direction in a nightly."""

metadata = t.metadata
"""The whole schema: all tables, partial indexes included."""
