"""Keep the values of cells, and the places of the newest values, in step with the measurements.

Views of cells read the kept rows. Ranking all measurements of a database for each question takes seconds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, Connection, bindparam, text

from orchestrator.store.ingest.events import MetricReport
from orchestrator.store.ingest.metrics import name_metrics
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.bulk import insert_rows


class CountedTrial(NamedTuple):
    """Hold a trial's contribution to the cell of the trial's job."""

    job_id: int
    kind: str
    metrics: Sequence[MetricReport]


_Key = tuple[int, str, str]
"""Job, kind of trial, and metric."""
_Value = tuple[float, str | None, str | None]
"""A value with unit and power source: a plain tuple, because a run makes some thousands."""


def refresh_cells(connection: Connection, counted: Collection[CountedTrial]) -> None:
    """Write the values of the counted trials' cells, within the transaction of the measurements.

    The measurements are stored already. The rows of the jobs' devices in the runs must be locked against measurements
    of other writers.
    """
    jobs = sorted({trial.job_id for trial in counted})
    if not jobs:
        return
    # RETURNING tells in the same statement which cells were there.
    before: set[_Key] = {tuple(row) for row in connection.execute(_FORGET, {"jobs": jobs})}
    begun = {job for job, _kind, _metric in before}
    values: dict[_Key, list[_Value]] = defaultdict(list)
    # A job without a value so far has no counted measurement but these. The others are read: a median needs them all.
    for trial in counted:
        if trial.job_id not in begun:
            job, kind = trial.job_id, trial.kind
            for one in trial.metrics:
                values[job, kind, one.name].append((one.value, one.unit, one.source))
    for job, kind, metric, value, unit, source in (
        connection.execute(_MEASURED, {"jobs": sorted(begun)}) if begun else ()
    ):
        values[job, kind, metric].append((value, unit, source))
    insert_rows(connection, t.cell_value, [_cell(key, found) for key, found in values.items()])
    begun_values = values.keys() - before
    name_metrics(connection, {metric for _job, _kind, metric in begun_values})
    new = sorted({job for job, _kind, _metric in begun_values})
    if new:
        connection.execute(_POINT_TO_NEWEST, {"jobs": new})


def _cell(key: _Key, found: Sequence[_Value]) -> dict[str, Any]:
    ordered = sorted(found, key=_NUMBER)
    sources = {source for _value, _unit, source in found}
    lowest, highest, count = ordered[0], ordered[-1], len(ordered)
    return {
        "job_id": key[0],
        "kind": key[1],
        "metric": key[2],
        "unit": lowest[1],
        "trials": count,
        "value": _middle(ordered[(count - 1) // 2][0], ordered[count // 2][0]),
        "value_min": lowest[0],
        "value_max": highest[0],
        "source": sources.pop() if len(sources) == 1 else "several",
    }


def _middle(low: float, high: float) -> float:
    """Return the mean of the two middle values, perhaps the same value twice. The sum of large values overflows."""
    return low if low == high else (low + high) / 2 if abs(high) < _HALF and abs(low) < _HALF else low / 2 + high / 2


_NUMBER = itemgetter(0)
_HALF = 2.0**1023  # the sum of two smaller numbers is below the largest float
_JOBS: BindParameter[Sequence[int]] = bindparam("jobs", expanding=True)
_FORGET = text("DELETE FROM cell_value WHERE job_id IN :jobs RETURNING job_id, kind, metric").bindparams(_JOBS)
_MEASURED = text(
    """
SELECT trial.job_id, trial.kind, measurement.metric, measurement.value, measurement.unit, measurement.source
FROM trial
JOIN attempt ON attempt.trial_id = trial.id AND attempt.counted
JOIN measurement ON measurement.attempt_id = attempt.id
WHERE trial.job_id IN :jobs AND measurement.value IS NOT NULL
"""
).bindparams(_JOBS)
# In the order of the key, because each row is locked: two writers of the same series never wait for each other.
# The last condition keeps the newest run in place where an older run is collected late.
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
    FROM cell_value
    JOIN job ON job.id = cell_value.job_id
    JOIN run_device ON run_device.id = job.run_device_id
    JOIN run ON run.id = run_device.run_id
    WHERE cell_value.job_id IN :jobs AND run.excluded_at IS NULL
) AS aged
WHERE age = 1
ORDER BY series_id, kind, metric
ON CONFLICT (series_id, kind, metric) DO UPDATE SET
    job_id = excluded.job_id, run_id = excluded.run_id, run_started_at = excluded.run_started_at
WHERE (excluded.run_started_at, excluded.run_id) > (latest_value.run_started_at, latest_value.run_id)
"""
).bindparams(_JOBS)
