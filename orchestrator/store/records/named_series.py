"""Read series with the names of device and model."""

from __future__ import annotations

from typing import Any

from sqlalchemy import FromClause, Row

from orchestrator.domain.series import Series
from orchestrator.store.schema import tables as t

NAMED_SERIES = (
    t.series.c.variant,
    t.series.c.runtime,
    t.series.c.settings,
    t.device.c.name.label("device"),
    t.model.c.name.label("model"),
)
"""The columns that `series_in` reads. A query has `series_id` too."""


def with_series(table: Any) -> FromClause:
    """Return a table joined with the series of its `series_id`. Rows without a series stay."""
    joined: FromClause = (
        table.outerjoin(t.series, t.series.c.id == table.c.series_id)
        .outerjoin(t.device, t.device.c.id == t.series.c.device_id)
        .outerjoin(t.model, t.model.c.id == t.series.c.model_id)
    )
    return joined


def series_in(row: Row[Any]) -> Series | None:
    """Return the series of a row, or None."""
    if row.series_id is None:
        return None
    return Series(row.series_id, row.device, row.model, row.variant, row.runtime, row.settings)
