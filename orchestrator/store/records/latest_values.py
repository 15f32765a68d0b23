"""Keep the places of the newest values in step with the runs that count."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, select, text

from orchestrator.store.schema import tables as t

_SERIES_AT_ONCE = 500
"""SQLite takes few values in one statement."""


def point_past(connection: Connection, run: str) -> None:
    """Let the newest values be those of other runs, once the run is excluded."""
    gone = delete(t.latest_value).where(t.latest_value.c.run_id == run).returning(t.latest_value.c.series_id)
    _point(connection, sorted(set(connection.execute(gone).scalars())))


def point_to(connection: Connection, run: str) -> None:
    """Let the newest values be those of a run, where no later run has any."""
    of_run = (
        select(t.job.c.series_id)
        .join(t.run_device, t.run_device.c.id == t.job.c.run_device_id)
        .where(t.run_device.c.run_id == run, t.job.c.series_id.is_not(None))
        .distinct()
    )
    _point(connection, sorted(connection.execute(of_run).scalars()))


def _point(connection: Connection, series: Sequence[int]) -> None:
    for first in range(0, len(series), _SERIES_AT_ONCE):
        connection.execute(_POINT_TO_NEWEST, {"series": series[first : first + _SERIES_AT_ONCE]})


# As in `ingest.cell_values`, there for the jobs of new values: in the order of the key, and the newest run stays.
_POINT_TO_NEWEST = text(
    """
INSERT INTO latest_value (series_id, kind, metric, job_id, run_id, run_started_at)
SELECT series_id, kind, metric, job_id, run_id, started_at
FROM (
    SELECT
        job.series_id, cell_value.kind, cell_value.metric, cell_value.job_id, run.id AS run_id, run.started_at,
        row_number() OVER (
            PARTITION BY job.series_id, cell_value.kind, cell_value.metric
            ORDER BY run.started_at DESC, run.id DESC, job.id
        ) AS age
    FROM job
    JOIN cell_value ON cell_value.job_id = job.id
    JOIN run_device ON run_device.id = job.run_device_id
    JOIN run ON run.id = run_device.run_id
    WHERE job.series_id IN :series AND run.excluded_at IS NULL
) AS aged
WHERE age = 1
ORDER BY series_id, kind, metric
ON CONFLICT (series_id, kind, metric) DO UPDATE SET
    job_id = excluded.job_id, run_id = excluded.run_id, run_started_at = excluded.run_started_at
WHERE (excluded.run_started_at, excluded.run_id) > (latest_value.run_started_at, latest_value.run_id)
"""
).bindparams(bindparam("series", expanding=True))
