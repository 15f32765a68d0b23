"""Write figures that the controller has computed of attempts, or the reasons for none, in place of earlier ones."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import BindParameter, Connection, and_, bindparam, delete, func, insert, select

from orchestrator.domain.metric import unit_named
from orchestrator.store.schema import tables as t


class Figure(NamedTuple):
    """Hold a metric of an attempt: a value, or without a value the reason."""

    attempt: int
    metric: str
    value: float | None
    reason: str | None


def write_figure(connection: Connection, figure: Figure) -> bool:
    """Write a figure. Return whether a value was written."""
    return bool(write_figures(connection, [figure]))


def write_figures(connection: Connection, figures: Collection[Figure]) -> Sequence[Figure]:
    """Write figures, a statement for each table whatever their number. Return those whose value was written.

    Of the attempts all metrics that any figure names are replaced.
    """
    if not figures:
        return ()
    of = {"attempts": sorted({one.attempt for one in figures}), "metrics": sorted({one.metric for one in figures})}
    for table in (t.measurement, t.absent_metric):
        connection.execute(delete(table).where(table.c.attempt_id.in_(_ATTEMPTS), table.c.metric.in_(_METRICS)), of)
    hashes = {row.attempt_id: row for row in connection.execute(_HASHES, {"attempts": of["attempts"]})}
    written = [one for one in figures if one.value is not None and one.attempt in hashes]
    if written:
        connection.execute(
            insert(t.measurement),
            [
                {
                    **hashes[one.attempt]._mapping,
                    "metric": one.metric,
                    "unit": unit_named(one.metric),
                    "value": one.value,
                }
                for one in written
            ],
        )
    absent = [
        {"attempt_id": one.attempt, "metric": one.metric, "reason": _reason(one)}
        for one in figures
        if one.value is None or one.attempt not in hashes
    ]
    if absent:
        connection.execute(insert(t.absent_metric), absent)
    return written


def _reason(figure: Figure) -> str:
    if figure.value is not None:
        return "the attempt has measured nothing that names its runtime"
    return figure.reason or "no value"


_ATTEMPTS: BindParameter[Sequence[int]] = bindparam("attempts", expanding=True)
_METRICS: BindParameter[Sequence[str]] = bindparam("metrics", expanding=True)
_named = t.measurement.alias("named")
_first = (
    select(_named.c.attempt_id, func.min(_named.c.metric).label("metric"))
    .where(_named.c.attempt_id.in_(_ATTEMPTS))
    .group_by(_named.c.attempt_id)
    .subquery("first")
)
_HASHES = select(
    t.measurement.c.attempt_id,
    t.measurement.c.runtime_sha256,
    t.measurement.c.model_sha256,
    t.measurement.c.worker_sha256,
).join(_first, and_(_first.c.attempt_id == t.measurement.c.attempt_id, _first.c.metric == t.measurement.c.metric))
"""The hashes of an attempt's first metric by name."""
