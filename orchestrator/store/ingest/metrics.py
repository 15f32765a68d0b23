"""Keep the table of metrics in step with the values: unit and better direction of each name."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, bindparam, select

from orchestrator.domain.metric import ABOUT, Direction, metric_named
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.upsert import insert_missing


def name_metrics(connection: Connection, names: Collection[str]) -> None:
    """Write the rows of new metrics, within the transaction of the values. A program may report any name."""
    known = set(connection.execute(_KNOWN, {"names": sorted(names)}).scalars()) if names else set()
    # In order: two writers of the same new metrics never wait for each other.
    new = [_row(name) for name in sorted(set(names) - known)]
    if new:
        insert_missing(connection, t.metric, new)


def _row(name: str) -> dict[str, Any]:
    metric = metric_named(name)
    return {
        "name": name,
        "unit": metric.unit.value,
        "better": None if metric.direction is Direction.NONE else metric.direction.value,
        "min_effect": metric.min_effect,
        "about": ABOUT.get(name),
    }


_KNOWN = select(t.metric.c.name).where(t.metric.c.name.in_(bindparam("names", expanding=True)))
