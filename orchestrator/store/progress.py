"""What of a run is in the database, and what is not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, and_, case, func, select

from device_worker.protocol.vocabulary import Failure, Outcome
from orchestrator.domain.plan import TrialKind
from orchestrator.domain.run import DeviceRunState, Ingested, MissingTrial, Offset, TrialState
from orchestrator.store import tables as t
from orchestrator.store.engine import Database
from orchestrator.store.wording import describe_failure

if TYPE_CHECKING:
    from orchestrator.domain.conversation import RecordsArrived


@dataclass(frozen=True, slots=True)
class _Retries:
    """How many more attempts the plan grants."""

    failed: int
    invalid: int


class ProgressTable:
    """Plays `RunProgress`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ingest(self, batch: Sequence[RecordsArrived], leases: Mapping[str, int] | None = None) -> Sequence[Ingested]:
        """Store every record of the batch that is new, in one transaction with the offsets; exactly once."""
        if not batch:
            return ()
        from orchestrator.store.ingest import LogIngest  # only those who follow devices pay for it

        return LogIngest(self._database, leases).ingest(batch)

    def offset(self, run: str, device: str) -> Offset:
        """Return how far the device's log is committed."""
        statement = (
            select(t.event_offset.c.log_id, t.event_offset.c.last_seq)
            .join(
                t.run_device,
                and_(
                    t.run_device.c.id == t.event_offset.c.run_device_id,
                    t.run_device.c.log_id == t.event_offset.c.log_id,
                ),
            )
            .join(t.device, t.device.c.id == t.run_device.c.device_id)
            .where(t.run_device.c.run_id == run, t.device.c.name == device)
        )
        with self._database.read() as connection:
            found = connection.execute(statement).one_or_none()
        return Offset(found.log_id, found.last_seq) if found else Offset(None, 0)

    def done_trials(self, run: str, device: str, retry_failed: bool) -> Sequence[str]:
        """Return the trials that must not run again."""
        of_itself = and_(t.attempt.c.outcome == Outcome.FAILED, t.attempt.c.failure_kind != Failure.CANCELLED)
        failed = func.count(case((of_itself, 1)))
        invalid = func.count(case((and_(t.attempt.c.outcome == Outcome.OK, t.attempt.c.counted.is_(False)), 1)))
        statement = (
            select(
                t.trial.c.key,
                t.trial.c.kind,
                t.trial.c.state,
                t.trial.c.job_id,
                failed.label("failed"),
                invalid.label("invalid"),
            )
            .join(t.run_device, t.run_device.c.id == t.trial.c.run_device_id)
            .join(t.device, t.device.c.id == t.run_device.c.device_id)
            .outerjoin(t.attempt, t.attempt.c.trial_id == t.trial.c.id)
            .where(t.run_device.c.run_id == run, t.device.c.name == device)
            .group_by(
                t.trial.c.id, t.trial.c.key, t.trial.c.kind, t.trial.c.state, t.trial.c.job_id, t.trial.c.position
            )
            .order_by(t.trial.c.position)
        )
        plan = (
            select(t.run_device.c.plan_document)
            .join(t.device, t.device.c.id == t.run_device.c.device_id)
            .where(t.run_device.c.run_id == run, t.device.c.name == device)
        )
        with self._database.read() as connection:
            document = connection.execute(plan).scalar()
            rows = connection.execute(statement).all()
        retries = _retries(document)
        done = {row.key: row for row in rows if _is_done(row, retries, retry_failed=retry_failed)}
        open_jobs = {row.job_id for row in rows if row.key not in done}
        return [key for key, row in done.items() if not (_is_rejection(row) and row.job_id in open_jobs)]

    def missing_trials(self, run: str) -> Sequence[MissingTrial]:
        """Return every measure trial without a usable result, and why."""
        last_finished = (
            select(func.max(t.attempt.c.ordinal))
            .where(t.attempt.c.trial_id == t.trial.c.id, t.attempt.c.finished_seq.is_not(None))
            .correlate(t.trial)
            .scalar_subquery()
        )
        statement = (
            select(
                t.device.c.name.label("device"),
                t.run_device.c.state.label("device_state"),
                t.run_device.c.error,
                t.job.c.label,
                t.trial.c.key,
                t.trial.c.state,
                t.trial.c.skip_reason,
                t.attempt.c.invalid,
                t.attempt.c.failure_kind,
                t.attempt.c.failure_message,
            )
            .join(t.run_device, t.run_device.c.id == t.trial.c.run_device_id)
            .join(t.device, t.device.c.id == t.run_device.c.device_id)
            .join(t.job, t.job.c.id == t.trial.c.job_id)
            .outerjoin(t.attempt, and_(t.attempt.c.trial_id == t.trial.c.id, t.attempt.c.ordinal == last_finished))
            .where(
                t.run_device.c.run_id == run,
                t.trial.c.kind == TrialKind.MEASURE.value,
                t.trial.c.state != TrialState.MEASURED.value,
            )
            .order_by(t.run_device.c.id, t.trial.c.position)
        )
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        return [MissingTrial(row.device, row.label, row.key, TrialState(row.state), _reason(row)) for row in rows]


def _is_rejection(row: Row[*tuple[Any, ...]]) -> bool:
    """Whether this is a failed preflight: left out of what is done, it makes the device skip its job's other trials."""
    return row.kind == TrialKind.PREFLIGHT.value and TrialState(row.state) is TrialState.FAILED


def _retries(document: str | None) -> _Retries:
    granted = json.loads(document).get("retries", {}) if document else {}
    return _Retries(granted.get("failed", 0), granted.get("invalid", 0))


def _is_done(row: Row[*tuple[Any, ...]], retries: _Retries, *, retry_failed: bool) -> bool:
    match TrialState(row.state):
        case TrialState.MEASURED:
            return True
        case TrialState.SKIPPED:
            return not retry_failed
        case TrialState.FAILED:
            return not retry_failed and row.failed > retries.failed
        case TrialState.INVALID:
            return not retry_failed and row.invalid > retries.invalid and row.kind != TrialKind.PREFLIGHT.value
        case _:
            return False


def _reason(row: Row[*tuple[Any, ...]]) -> str:
    match TrialState(row.state):
        case TrialState.SKIPPED:
            return row.skip_reason or "its preflight failed"
        case TrialState.FAILED:
            return describe_failure(row.failure_kind, row.failure_message) or "failed"
        case TrialState.INVALID:
            return ", ".join(row.invalid or ()) or "invalid"
        case TrialState.RUNNING:
            return "running" if row.device_state == DeviceRunState.RUNNING else "interrupted"
        case _:
            return row.error or "not run"
