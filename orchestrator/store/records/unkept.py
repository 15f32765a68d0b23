"""Read the outputs that preflights kept, why others kept none, and which inputs were clipped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, or_, select

from orchestrator.domain.measurement import Cell, CellOutputs, OutputPart
from orchestrator.domain.remark import CellRemark, RemarkKind, saturated
from orchestrator.store.schema import tables as t


def proof_remarks(connection: Connection, run: str) -> Sequence[CellRemark]:
    """Return the cells of a run whose preflight kept no outputs, or clipped inputs, with the reasons."""
    output = t.preflight_output.c
    statement = (
        select(t.device.c.name, t.job.c.label, output.reason, output.input_ranges)
        .join(t.run_device, t.run_device.c.id == t.job.c.run_device_id)
        .join(t.device, t.device.c.id == t.run_device.c.device_id)
        .join(t.trial, t.trial.c.job_id == t.job.c.id)
        .join(t.attempt, and_(t.attempt.c.trial_id == t.trial.c.id, t.attempt.c.counted))
        .join(t.preflight_output, t.preflight_output.c.attempt_id == t.attempt.c.id)
        .where(t.run_device.c.run_id == run, or_(output.reason.is_not(None), output.input_ranges.is_not(None)))
        .order_by(t.job.c.id)
    )
    rows = connection.execute(statement).all()
    return [remark for row in rows for remark in _remarks(row)]


def _remarks(row: Any) -> Iterator[CellRemark]:
    if row.reason is not None:  # which tells of mostly clipped inputs, too
        yield CellRemark(row.name, row.label, RemarkKind.OUTPUTS_NOT_KEPT, row.reason)
    elif (words := saturated(row.input_ranges)) is not None:
        yield CellRemark(row.name, row.label, RemarkKind.INPUTS_SATURATED, words)


def outputs_of(cell: Cell, row: Row[Any]) -> CellOutputs:
    """Return the outputs of a cell from a row of `preflight_output`."""
    layout = tuple(OutputPart(one["name"], tuple(one["shape"])) for one in row.layout or ())
    # `row.count` is a method of the row.
    count = row._mapping["count"]
    return CellOutputs(cell, count, row.values_per_output, row.data, row.inputs, row.reason, layout)
