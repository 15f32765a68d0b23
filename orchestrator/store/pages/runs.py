"""Watch a run by its rows: the controller that drives the run need not know of any watcher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, bindparam, func, or_, select

from device_worker.protocol.vocabulary import Outcome
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.run import DeviceRunState, TrialState
from orchestrator.domain.run_glance import DeviceGlance, FailureGlance, RunGlance
from orchestrator.store.pages.conditions import clock, number
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.engine import Database
from orchestrator.store.values.wording import describe_failure

AnyRow = Row[*tuple[Any, ...]]


class WatchTable:
    """Play the role `RunWatch`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def glance(self, run: str, failures: int) -> RunGlance | None:
        """Return the present standing of a run with at most so many failures, or None for an unknown run."""
        # One transaction: counts of one moment and failures of the next would contradict each other.
        with self._database.read() as connection:
            found = connection.execute(_RUN, {"run": run}).first()
            if found is None:
                return None
            devices = connection.execute(_DEVICES, {"run": run}).all()
            counts: dict[int, dict[TrialState, int]] = {}
            for row in connection.execute(_COUNTS, {"run": run}):
                counts.setdefault(row.run_device_id, {})[TrialState(row.state)] = row.number
            newest = {row.run_device_id: row for row in connection.execute(_NEWEST, {"run": run})}
            readings = {row.run_device_id: row for row in connection.execute(_READINGS, {"run": run})}
            failed = connection.execute(_FAILURES, {"run": run, "most": failures}).all()
        return RunGlance(
            run,
            found.finished_at,
            tuple(_device(row, counts.get(row.id, {}), newest.get(row.id), readings.get(row.id)) for row in devices),
            tuple(_failure(row) for row in failed),
        )


def _device(
    row: AnyRow, counts: Mapping[TrialState, int], newest: AnyRow | None, reading: AnyRow | None
) -> DeviceGlance:
    said: Mapping[str, Any] = (reading.conditions_after if reading else None) or {}
    return DeviceGlance(
        device=row.name,
        state=DeviceRunState(row.state),
        error=row.error,
        trials=counts,
        attempt=newest.id if newest else None,
        job=newest.job_id if newest else None,
        cell=newest.label if newest else None,
        trial=newest.key if newest else None,
        seen_at=reading.stored_at if reading else None,
        temperature_c=number(said.get("temperature_c")),
        cpu_mhz=clock(said),
    )


def _failure(row: AnyRow) -> FailureGlance:
    broken = ", ".join(str(word) for word in row.invalid or ())
    return FailureGlance(
        attempt=row.id,
        device=row.name,
        job=row.job_id,
        cell=row.label,
        trial=row.key,
        at=row.stored_at,
        outcome="failed" if row.outcome == Outcome.FAILED else "invalid",
        reason=describe_failure(row.failure_kind, row.failure_message) or broken or "no reason was given",
    )


_RUN = select(t.run.c.id, t.run.c.finished_at).where(t.run.c.id == bindparam("run"))
_DEVICES = (
    select(t.run_device.c.id, t.device.c.name, t.run_device.c.state, t.run_device.c.error)
    .join(t.device, t.device.c.id == t.run_device.c.device_id)
    .where(t.run_device.c.run_id == bindparam("run"))
    .order_by(t.run_device.c.id)
)
_PARTS = select(t.run_device.c.id).where(t.run_device.c.run_id == bindparam("run"))
_COUNTS = (
    select(t.trial.c.run_device_id, t.trial.c.state, func.count().label("number"))
    .where(t.trial.c.run_device_id.in_(_PARTS), t.trial.c.kind == TrialKind.MEASURE.value)
    .group_by(t.trial.c.run_device_id, t.trial.c.state)
)
_OF_RUN = t.attempt.join(t.trial, t.trial.c.id == t.attempt.c.trial_id)
# By id, which grows as records arrive: a device's clock may jump.
_LAST = (
    select(func.max(t.attempt.c.id))
    .select_from(_OF_RUN)
    .where(t.trial.c.run_device_id.in_(_PARTS))
    .group_by(t.trial.c.run_device_id)
)
_NAMED = _OF_RUN.join(t.job, t.job.c.id == t.trial.c.job_id)
_NEWEST = (
    select(t.trial.c.run_device_id, t.attempt.c.id, t.trial.c.key, t.trial.c.job_id, t.job.c.label)
    .select_from(_NAMED)
    .where(t.attempt.c.id.in_(_LAST))
)
# A running attempt has no conditions afterwards yet, and the one before has.
_READINGS = (
    select(t.trial.c.run_device_id, t.attempt.c.stored_at, t.attempt.c.conditions_after)
    .select_from(_OF_RUN)
    .where(t.attempt.c.id.in_(_LAST.where(t.attempt.c.finished_seq.is_not(None))))
)
_UNFIT = or_(t.attempt.c.outcome == Outcome.FAILED, ~t.attempt.c.counted & (t.attempt.c.outcome == Outcome.OK))
_FAILURES = (
    select(
        t.attempt.c.id,
        t.attempt.c.stored_at,
        t.attempt.c.outcome,
        t.attempt.c.invalid,
        t.attempt.c.failure_kind,
        t.attempt.c.failure_message,
        t.trial.c.key,
        t.trial.c.job_id,
        t.job.c.label,
        t.device.c.name,
    )
    .select_from(
        _NAMED.join(t.run_device, t.run_device.c.id == t.trial.c.run_device_id).join(
            t.device, t.device.c.id == t.run_device.c.device_id
        )
    )
    .where(t.run_device.c.run_id == bindparam("run"), _UNFIT)
    .order_by(t.attempt.c.id.desc())
    .limit(bindparam("most"))
)
