"""Separate the done trials of a run from the trials to run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, case, func, select

from device_worker.protocol.vocabulary import FailureKind, Outcome
from orchestrator.domain.conversation import SpentRetries
from orchestrator.domain.plan.document import granted_retries
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.run import DeviceRunState, MissingTrial, RunEffort, SparedCell, TrialState
from orchestrator.domain.sweep import Retries
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.engine import Database
from orchestrator.store.values.wording import describe_failure


class ProgressTable:
    """Play the role `RunProgress`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def done_trials(self, run: str, device: str, retry_failed: bool) -> Sequence[str]:
        """Return the keys of the trials not to be run again, in the order of the plan."""
        failed, invalid = _counts()
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
        retries = granted_retries(document) if document else Retries(failed=0, invalid=0)
        done = {row.key: row for row in rows if _is_done(row, retries, retry_failed=retry_failed)}
        # A failed preflight is left out while trials of its job are open. Named as done, the preflight would count as
        # passed on the device, and a cell rejected before a resume would be measured after it.
        open_jobs = {row.job_id for row in rows if row.key not in done}
        return [key for key, row in done.items() if not (_is_rejection(row) and row.job_id in open_jobs)]

    def spent_retries(self, run: str, device: str, done: Collection[str]) -> Sequence[SpentRetries]:
        """Return how often the open trials have failed, or were invalid, by log."""
        failed, invalid = _counts()
        statement = (
            select(t.attempt.c.log_id, t.trial.c.key, failed.label("failed"), invalid.label("invalid"))
            .join(t.trial, t.trial.c.id == t.attempt.c.trial_id)
            .join(t.run_device, t.run_device.c.id == t.trial.c.run_device_id)
            .join(t.device, t.device.c.id == t.run_device.c.device_id)
            .where(t.run_device.c.run_id == run, t.device.c.name == device)
            # A preflight proves the cell anew in each log, whatever has become of it before.
            .where(t.trial.c.kind == TrialKind.MEASURE.value)
            .group_by(t.attempt.c.log_id, t.trial.c.key)
            .order_by(t.attempt.c.log_id, t.trial.c.key)
        )
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        return [SpentRetries(*row) for row in rows if row.key not in done and (row.failed or row.invalid)]

    def rejected_jobs(self, run: str) -> Mapping[str, frozenset[str]]:
        """Return by device the keys of the jobs with a failed preflight."""
        statement = (
            select(t.device.c.name, t.job.c.key)
            .join(t.run_device, t.run_device.c.device_id == t.device.c.id)
            .join(t.trial, t.trial.c.run_device_id == t.run_device.c.id)
            .join(t.job, t.job.c.id == t.trial.c.job_id)
            .where(
                t.run_device.c.run_id == run,
                t.trial.c.kind == TrialKind.PREFLIGHT.value,
                t.trial.c.state == TrialState.FAILED.value,
            )
        )
        rejected: dict[str, set[str]] = {}
        with self._database.read() as connection:
            for row in connection.execute(statement):
                rejected.setdefault(row.name, set()).add(row.key)
        return {device: frozenset(jobs) for device, jobs in rejected.items()}

    def effort(self, run: str) -> RunEffort:
        """Return how long the trials of a run have taken, and how many commands have worked at the run."""
        measured = (
            select(func.sum(t.attempt.c.duration_ns).label("ns"))
            .join(t.trial, t.trial.c.id == t.attempt.c.trial_id)
            .join(t.run_device, t.run_device.c.id == t.trial.c.run_device_id)
            .where(t.run_device.c.run_id == run)
            .group_by(t.run_device.c.id)
        )
        # A command that only collects has a lease beside the others, and measures nothing.
        leased = (
            select(func.count())
            .where(t.lease.c.run_id == run, t.lease.c.exclusive, t.lease.c.token.is_not(None))
            .group_by(t.lease.c.device_id)
        )
        with self._database.read() as connection:
            times = [float(ns) for ns in connection.scalars(measured) if ns is not None]
            sessions = connection.scalars(leased).all()
        return RunEffort(max(times) / 1e9 if times else None, max(sessions, default=0))

    def spared_cells(self, run: str) -> Sequence[SparedCell]:
        """Return the cells whose stop rule had enough, in the order of the plans."""
        is_spared = t.trial.c.state == TrialState.SPARED.value
        counted = and_(t.attempt.c.trial_id == t.trial.c.id, t.attempt.c.counted)
        statement = (
            select(
                t.device.c.name,
                t.job.c.label,
                func.count(t.attempt.c.id).label("measured"),
                func.count().filter(is_spared).label("spared"),
                func.avg(t.attempt.c.duration_ns).label("mean_ns"),
                func.max(t.trial.c.skip_reason).filter(is_spared).label("reason"),
            )
            .join(t.run_device, t.run_device.c.device_id == t.device.c.id)
            .join(t.job, t.job.c.run_device_id == t.run_device.c.id)
            .join(t.trial, t.trial.c.job_id == t.job.c.id)
            .outerjoin(t.attempt, counted)
            .where(t.run_device.c.run_id == run, t.trial.c.kind == TrialKind.MEASURE.value)
            .group_by(t.run_device.c.id, t.device.c.name, t.job.c.id, t.job.c.label)
            .having(func.count().filter(is_spared) > 0)
            .order_by(t.run_device.c.id, t.job.c.id)
        )
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        return [
            SparedCell(
                row.name,
                row.label,
                row.measured,
                row.spared,
                None if row.mean_ns is None else row.spared * float(row.mean_ns) / 1e9,
                row.reason or "",
            )
            for row in rows
        ]

    def missing_trials(self, run: str) -> Sequence[MissingTrial]:
        """Return every measure trial without a usable result, with the reason."""
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
                t.trial.c.state.not_in((TrialState.MEASURED.value, TrialState.SPARED.value)),
            )
            .order_by(t.run_device.c.id, t.trial.c.position)
        )
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        return [MissingTrial(row.device, row.label, row.key, TrialState(row.state), _reason(row)) for row in rows]


def _counts() -> tuple[ColumnElement[int], ColumnElement[int]]:
    """Return the counts of failed and of invalid attempts."""
    # A cancelled attempt says nothing about the trial.
    of_itself = and_(t.attempt.c.outcome == Outcome.FAILED, t.attempt.c.failure_kind != FailureKind.CANCELLED)
    is_invalid = and_(t.attempt.c.outcome == Outcome.OK, t.attempt.c.counted.is_(False))
    return func.count(case((of_itself, 1))), func.count(case((is_invalid, 1)))


def _is_rejection(row: Row[*tuple[Any, ...]]) -> bool:
    """Return True for a failed preflight."""
    return row.kind == TrialKind.PREFLIGHT.value and TrialState(row.state) is TrialState.FAILED


def _is_done(row: Row[*tuple[Any, ...]], retries: Retries, *, retry_failed: bool) -> bool:
    match TrialState(row.state):
        case TrialState.MEASURED | TrialState.SPARED:
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
            # The trial's state is from the log. A runner that was killed wrote no end of the trial.
            return "running" if row.device_state == DeviceRunState.RUNNING else "interrupted"
        case _:
            return row.error or "not run"
