"""Read the accuracy of each job of a run, and how much of the inputs was clipped for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, select

from orchestrator.domain.metric import is_registered
from orchestrator.domain.plan.values import TrialKind
from orchestrator.store.schema import tables as t


def accuracies_by_job(connection: Connection, run: str) -> Mapping[int, tuple[float, str]]:
    """Return each job's accuracy with the metric: the preflight's, or else the median over trials."""
    found: dict[int, tuple[float, str]] = {}
    rows = connection.execute(_ACCURACIES, {"run": run}).all()
    # The worker's own metric first: what a person computed later must not take its place.
    for row in sorted(rows, key=lambda row: (row.kind != TrialKind.PREFLIGHT.value, not is_registered(row.metric))):
        found.setdefault(row.job_id, (row.value, row.metric))
    return found


def clipped_by_job(connection: Connection, run: str) -> Mapping[int, float]:
    """Return the share of its numbers that a quantised input of a job clips, the largest of all inputs.

    Jobs without a quantised input are left out, and those of which nobody has counted.
    """
    ranges = t.preflight_output.c.input_ranges
    statement = (
        select(t.trial.c.job_id, ranges)
        .join(t.run_device, t.run_device.c.id == t.trial.c.run_device_id)
        .join(t.attempt, and_(t.attempt.c.trial_id == t.trial.c.id, t.attempt.c.counted))
        .join(t.preflight_output, t.preflight_output.c.attempt_id == t.attempt.c.id)
        .where(t.run_device.c.run_id == run, ranges.is_not(None))
    )
    rows = connection.execute(statement)
    return {row.job_id: max(one["saturated_ratio"] for one in row.input_ranges) for row in rows if row.input_ranges}


# The kept values of cells: of the counted preflight, and the medians over the counted trials. Measurements of a run are
# thousands.
_ACCURACIES: Select[Any] = (
    select(t.cell_value.c.job_id, t.cell_value.c.kind, t.cell_value.c.metric, t.cell_value.c.value)
    .join(t.job, t.job.c.id == t.cell_value.c.job_id)
    .join(t.run_device, t.run_device.c.id == t.job.c.run_device_id)
    .where(
        t.run_device.c.run_id == bindparam("run"),
        # Escaped, because _ stands for any character in LIKE.
        t.cell_value.c.metric.startswith("accuracy_", autoescape=True),
    )
    # Descending, since `preflight` comes after `measure` in the alphabet.
    .order_by(t.cell_value.c.kind.desc(), t.cell_value.c.metric)
)
