"""Write a figure that the controller has computed of an attempt, or the reason for none, in place of an earlier one."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete, insert, select

from orchestrator.domain.metric import unit_named
from orchestrator.store.schema import tables as t


def write_figure(connection: Connection, attempt: int, metric: str, value: float | None, reason: str | None) -> bool:
    """Write a value, or without a value the reason. Return whether a value was written."""
    for table in (t.measurement, t.absent_metric):
        connection.execute(delete(table).where(table.c.attempt_id == attempt, table.c.metric == metric))
    hashes = connection.execute(_HASHES, {"attempt": attempt}).first()
    if value is not None and hashes is None:
        value, reason = None, "the attempt has measured nothing that names its runtime"
    key = {"attempt_id": attempt, "metric": metric}
    if value is None or hashes is None:
        connection.execute(insert(t.absent_metric), [{**key, "reason": reason or "no value"}])
        return False
    connection.execute(insert(t.measurement), [{**key, "unit": unit_named(metric), "value": value, **hashes._mapping}])
    return True


_HASHES = (
    select(t.measurement.c.runtime_sha256, t.measurement.c.model_sha256, t.measurement.c.worker_sha256)
    .where(t.measurement.c.attempt_id == bindparam("attempt"))
    .order_by(t.measurement.c.metric)
)
