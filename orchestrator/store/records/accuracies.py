"""Read the accuracy of each job of a run, and how much of the inputs was clipped for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, select

from orchestrator.domain.metric import is_registered
from orchestrator.domain.plan.values import TrialKind
from orchestrator.store.schema import tables as t


def accuracies_by_job(connection: Connection, run: str) -> Mapping[int, tuple[float, str]]:
    """Return each job's accuracy with the metric: the preflight's, or else the median over trials."""
    return _accuracies_by_job(connection.execute(_accuracies(run)))


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


def _accuracies(run: str) -> Select[Any]:
    """Return a query for the accuracies of a run, preflights first, and then by the metric's name."""
    return (
        select(t.trial.c.job_id, t.trial.c.kind, t.measurement.c.metric, t.measurement.c.value)
        .join(t.run_device, t.run_device.c.id == t.trial.c.run_device_id)
        .join(t.attempt, and_(t.attempt.c.trial_id == t.trial.c.id, t.attempt.c.counted))
        .join(t.measurement, t.measurement.c.attempt_id == t.attempt.c.id)
        .where(
            t.run_device.c.run_id == run,
            t.measurement.c.value.is_not(None),
            # Escaped, because _ stands for any character in LIKE.
            t.measurement.c.metric.startswith("accuracy_", autoescape=True),
        )
        # Descending, since `preflight` comes after `measure` in the alphabet.
        .order_by(t.trial.c.kind.desc(), t.measurement.c.metric)
    )


def _accuracies_by_job(rows: Iterable[Row[Any]]) -> dict[int, tuple[float, str]]:
    """Return each job's accuracy with the metric: the preflight's, or else the median over trials."""
    found: dict[int, tuple[tuple[str, str], list[float]]] = {}
    # The worker's own metric first: what a person computed later must not take its place.
    for row in sorted(rows, key=lambda row: (row.kind != TrialKind.PREFLIGHT.value, not is_registered(row.metric))):
        source, values = found.setdefault(row.job_id, ((row.kind, row.metric), []))
        if source == (row.kind, row.metric):
            values.append(row.value)
    return {job: (median(values), metric) for job, ((_, metric), values) in found.items()}
