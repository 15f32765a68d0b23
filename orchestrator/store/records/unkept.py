"""Read the outputs that preflights kept, and why others kept none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, select

from orchestrator.domain.measurement import Cell, CellOutputs, OutputPart
from orchestrator.domain.remark import CellRemark, RemarkKind
from orchestrator.store.schema import tables as t


def unkept_outputs(connection: Connection, run: str) -> Sequence[CellRemark]:
    """Return the cells of a run whose preflight kept no outputs, with the reasons."""
    statement = (
        select(t.device.c.name, t.job.c.label, t.preflight_output.c.reason)
        .join(t.run_device, t.run_device.c.id == t.job.c.run_device_id)
        .join(t.device, t.device.c.id == t.run_device.c.device_id)
        .join(t.trial, t.trial.c.job_id == t.job.c.id)
        .join(t.attempt, and_(t.attempt.c.trial_id == t.trial.c.id, t.attempt.c.counted))
        .join(t.preflight_output, t.preflight_output.c.attempt_id == t.attempt.c.id)
        .where(t.run_device.c.run_id == run, t.preflight_output.c.reason.is_not(None))
        .order_by(t.job.c.id)
    )
    rows = connection.execute(statement).all()
    return [CellRemark(row.name, row.label, RemarkKind.OUTPUTS_NOT_KEPT, row.reason) for row in rows]


def outputs_of(cell: Cell, row: Row[Any]) -> CellOutputs:
    """Return the outputs of a cell from a row of `preflight_output`."""
    layout = tuple(OutputPart(one["name"], tuple(one["shape"])) for one in row.layout or ())
    # `row.count` is a method of the row.
    count = row._mapping["count"]
    return CellOutputs(cell, count, row.values_per_output, row.data, row.inputs, row.reason, layout)
