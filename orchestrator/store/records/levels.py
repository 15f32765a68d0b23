"""Read and write the levels of baselines, within a transaction of the caller."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, insert, select, true, update

from orchestrator.domain.baseline import Baseline, BaselineKind, NewBaseline
from orchestrator.store.records.named_series import NAMED_SERIES, series_in, with_series
from orchestrator.store.schema import tables as t
from orchestrator.store.values.hygiene import clean_text

REASON_MAX = 1_000


def insert_levels(connection: Connection, new: NewBaseline, now: datetime) -> list[Baseline]:
    """Record a choice. The present levels covered wholly by the choice are superseded."""
    _supersede(connection, new, now)
    row = {
        "name": new.name,
        "run_id": new.run,
        "metric": new.metric,
        "kind": new.kind.value,
        "reason": clean_text(new.reason, REASON_MAX),
        "pinned_by": new.who,
        "pinned_at": now,
    }
    statement = insert(t.baseline).returning(t.baseline.c.id)
    ids = [connection.execute(statement, {**row, "series_id": series}).scalar_one() for series in new.series or (None,)]
    return read_levels(connection, t.baseline.c.id.in_(ids))


def read_levels(connection: Connection, condition: ColumnElement[bool]) -> list[Baseline]:
    """Return the levels selected by a condition, the oldest first."""
    statement = (
        select(t.baseline, t.run.c.started_at.label("run_started_at"), *NAMED_SERIES)
        .select_from(with_series(t.baseline).join(t.run, t.run.c.id == t.baseline.c.run_id))
        .where(condition)
        .order_by(t.baseline.c.id)
    )
    rows = connection.execute(statement).all()
    measured = _measured(connection, {row.run_id for row in rows if row.series_id is None})
    return [_level(row, measured) for row in rows]


def _measured(connection: Connection, runs: Collection[str]) -> Mapping[str, frozenset[int]]:
    """Return the series of each run's cells."""
    found: dict[str, set[int]] = {run: set() for run in runs}
    statement = (
        select(t.run_device.c.run_id, t.job.c.series_id)
        .join(t.run_device, t.run_device.c.id == t.job.c.run_device_id)
        .where(t.run_device.c.run_id.in_(runs), t.job.c.series_id.is_not(None))
        .distinct()
    )
    for run, series in connection.execute(statement) if runs else ():
        found[run].add(series)
    return {run: frozenset(series) for run, series in found.items()}


def _supersede(connection: Connection, new: NewBaseline, now: datetime) -> None:
    levels = t.baseline.c
    alike = and_(
        levels.name == new.name,
        levels.superseded_at.is_(None),
        levels.metric == new.metric if new.metric is not None else true(),
    )
    # A run says nothing about the cells of other devices: their levels stay.
    series = frozenset(new.series) or _measured(connection, {new.run})[new.run]
    found = read_levels(connection, alike)
    wholly = [level.id for level in found if _cells_of(level) <= series and (level.series or not new.series)]
    connection.execute(update(t.baseline).where(levels.id.in_(wholly)).values(superseded_at=now))


def _cells_of(level: Baseline) -> frozenset[int]:
    return (level.measured or frozenset()) if level.series is None else frozenset({level.series.id})


def _level(row: Any, measured: Mapping[str, frozenset[int]]) -> Baseline:
    return Baseline(
        id=row.id,
        name=row.name,
        run=row.run_id,
        run_started_at=row.run_started_at,
        kind=BaselineKind(row.kind),
        pinned_at=row.pinned_at,
        pinned_by=row.pinned_by,
        reason=row.reason,
        series=series_in(row),
        metric=row.metric,
        superseded_at=row.superseded_at,
        measured=measured[row.run_id] if row.series_id is None else None,
    )
