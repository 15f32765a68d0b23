"""Read the outputs that preflights have kept, and write what a metric of the user's says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, and_, bindparam, delete, insert, select

from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.input_results import InputEncoding
from orchestrator.domain.plan.document import planned_jobs
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.scored import Score, ScoredOutputs
from orchestrator.store.ingest.cell_values import CountedTrial, refresh_cells
from orchestrator.store.ingest.figures import Figure, write_figure
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.engine import Database


class ScoredTable:
    """Play the role `ScoredRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def kept_outputs(self, run: str) -> Sequence[ScoredOutputs]:
        """Return the kept outputs of a run's counted preflights, in the order of devices and jobs."""
        with self._database.read() as connection:
            rows = connection.execute(_OUTPUTS, {"run": run}).all()
            plans = {row.id: row.plan_document for row in connection.execute(_PLANS, {"run": run})}
        datasets: dict[tuple[int, str], Blob] = {}
        for run_device, document in plans.items():
            for job in planned_jobs(document.encode()):
                if job.dataset is not None:
                    one = job.dataset
                    datasets[run_device, job.key] = Blob(one.sha256, one.size, BlobKind.DATASET, one.name)
        return [_outputs(row._asdict(), datasets) for row in rows]

    def write_scores(self, scores: Sequence[Score]) -> None:
        """Write the scores of attempts in one transaction, in the place of earlier ones of the same metric."""
        with self._database.write() as connection:
            attempts = [one.attempt for one in scores]
            # As the writer of logs: cells of a device have one writer at a time.
            connection.execute(_LOCK, {"attempts": attempts})
            for one in scores:
                _write(connection, one)
            jobs = connection.execute(_JOBS, {"attempts": attempts}).all()
            refresh_cells(connection, [CountedTrial(row.job_id, row.kind, ()) for row in jobs])


def _outputs(row: Mapping[str, Any], datasets: Mapping[tuple[int, str], Blob]) -> ScoredOutputs:
    is_of_dataset = row["inputs"] == "dataset"
    return ScoredOutputs(
        attempt=row["id"],
        device=row["name"],
        label=row["label"],
        count=row["count"],
        values_per_output=row["values_per_output"],
        data=row["data"],
        parts=tuple(tuple(one["shape"]) for one in row["layout"] or ()),
        dataset=datasets.get((row["run_device_id"], row["key"])) if is_of_dataset else None,
    )


def _write(connection: Connection, one: Score) -> None:
    is_written = write_figure(connection, Figure(one.attempt, one.metric, one.value, one.reason))
    if is_written and one.by_input and one.dataset_sha256 is not None:
        _write_by_input(connection, one)


def _write_by_input(connection: Connection, one: Score) -> None:
    """Write the results by input, unless the attempt has those of another metric."""
    held = connection.execute(_HELD, {"attempt": one.attempt}).scalar()
    if held not in (None, one.metric):
        return
    connection.execute(delete(t.input_result).where(t.input_result.c.attempt_id == one.attempt))
    row = {
        "attempt_id": one.attempt,
        "metric": one.metric,
        "dataset_sha256": one.dataset_sha256,
        "encoding": InputEncoding.SCORES.value,
        "count": len(one.by_input),
        "data": np.asarray(one.by_input, dtype="<f4").tobytes(),
    }
    connection.execute(insert(t.input_result), [row])


_OUTPUTS = (
    select(
        t.attempt.c.id,
        t.device.c.name,
        t.job.c.label,
        t.job.c.key,
        t.trial.c.run_device_id,
        t.preflight_output.c.inputs,
        t.preflight_output.c.count,
        t.preflight_output.c.values_per_output,
        t.preflight_output.c.data,
        t.preflight_output.c.layout,
    )
    .join(t.trial, and_(t.trial.c.id == t.attempt.c.trial_id, t.attempt.c.counted))
    .join(t.job, t.job.c.id == t.trial.c.job_id)
    .join(t.run_device, t.run_device.c.id == t.trial.c.run_device_id)
    .join(t.device, t.device.c.id == t.run_device.c.device_id)
    .join(t.preflight_output, t.preflight_output.c.attempt_id == t.attempt.c.id)
    .where(
        t.run_device.c.run_id == bindparam("run"),
        t.trial.c.kind == TrialKind.PREFLIGHT.value,
        t.preflight_output.c.count > 0,
    )
    .order_by(t.device.c.name, t.job.c.id)
)
_PLANS = select(t.run_device.c.id, t.run_device.c.plan_document).where(
    t.run_device.c.run_id == bindparam("run"), t.run_device.c.plan_document.is_not(None)
)
_JOBS = (
    select(t.trial.c.job_id, t.trial.c.kind)
    .join(t.attempt, t.attempt.c.trial_id == t.trial.c.id)
    .where(t.attempt.c.id.in_(bindparam("attempts", expanding=True)), t.attempt.c.counted)
)
_LOCK = (
    select(t.run_device.c.id)
    .join(t.trial, t.trial.c.run_device_id == t.run_device.c.id)
    .join(t.attempt, t.attempt.c.trial_id == t.trial.c.id)
    .where(t.attempt.c.id.in_(bindparam("attempts", expanding=True)))
    .order_by(t.run_device.c.id)
    .with_for_update(of=t.run_device)
)
_HELD = select(t.input_result.c.metric).where(t.input_result.c.attempt_id == bindparam("attempt"))
