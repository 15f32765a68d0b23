"""Read which cells of a device have counted results, whatever run they are of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import bindparam, func, select

from orchestrator.domain.increment import CountedJob
from orchestrator.domain.plan.values import TrialKind
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.engine import Database


class CountedJobTable:
    """Play the role `CountedJobs`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def counted_jobs(self, device: str, keys: Collection[str], since: datetime | None) -> Sequence[CountedJob]:
        """Return the jobs of a device with counted measure trials, the newest run first. Excluded runs are left out."""
        statement = _JOBS if since is None else _JOBS.where(t.run.c.started_at >= since)
        with self._database.read() as connection:
            rows = connection.execute(statement, {"device": device, "keys": sorted(keys)})
            return [CountedJob(*row) for row in rows if row.trials]


_TRIALS = (
    select(func.max(t.cell_value.c.trials))
    .where(t.cell_value.c.job_id == t.job.c.id, t.cell_value.c.kind == TrialKind.MEASURE.value)
    .scalar_subquery()
)
_JOBS = (
    select(
        t.job.c.key,
        t.run.c.id,
        t.run.c.started_at,
        _TRIALS.label("trials"),
        t.device_snapshot.c.identity_hash,
        t.run_device.c.plan_sha256,
    )
    .join(t.run_device, t.run_device.c.id == t.job.c.run_device_id)
    .join(t.device, t.device.c.id == t.run_device.c.device_id)
    .join(t.run, t.run.c.id == t.run_device.c.run_id)
    .outerjoin(t.device_snapshot, t.device_snapshot.c.id == t.run_device.c.snapshot_id)
    .where(
        t.device.c.name == bindparam("device"),
        t.job.c.key.in_(bindparam("keys", expanding=True)),
        t.run.c.excluded_at.is_(None),
        t.run_device.c.plan_sha256.is_not(None),
    )
    .order_by(t.run.c.started_at.desc(), t.run.c.id.desc())
)
