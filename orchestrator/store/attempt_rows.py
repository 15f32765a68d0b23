"""Write attempts with everything that hangs on them: measurements, raw samples, histograms, outputs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import Connection, Insert, Table, bindparam, insert, update

from device_worker.protocol.vocabulary import Outcome
from orchestrator.domain.metric import metric_named
from orchestrator.store import tables as t
from orchestrator.store.attempts import Attempt, KnownTrial
from orchestrator.store.events import MetricReport, TrialFinished
from orchestrator.store.summary import Percentile

Values = dict[str, Any]

_BEGINNING = ("id", "trial_id", "ordinal", "log_id", "log_attempt", "started_seq", "started_at")
_NEW_ATTEMPT = insert(t.attempt).returning(t.attempt.c.id, sort_by_parameter_order=True)
_COMPLETE_ATTEMPT = (
    update(t.attempt)
    .where(t.attempt.c.id == bindparam("attempt_key"))
    .values({column.name: bindparam(column.name) for column in t.attempt.c if column.name not in _BEGINNING})
)


@cache
def _insert_into(table: Table) -> Insert:
    """Return one statement object per table: it keeps what SQLAlchemy works out about it."""
    return insert(table)


@dataclass(frozen=True, slots=True)
class LogAttempt:
    """An attempt, the log that tells of it and the worker that wrote that."""

    log_id: str
    worker_sha256: str
    attempt: Attempt


class AttemptRows:
    """Writes attempts within one transaction."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    def write(self, told: Sequence[LogAttempt]) -> None:
        """Insert the attempts that are new, complete those that were open, and store their numbers."""
        self._complete([one.attempt for one in told if one.attempt.id is not None])
        self._insert([one for one in told if one.attempt.id is None])
        rows: dict[Table, list[Values]] = {}
        for one in told:
            if one.attempt.finished is not None:
                for table, row in _numbers(one, one.attempt.finished):
                    rows.setdefault(table, []).append(row)
        for table, values in rows.items():
            self._connection.execute(_insert_into(table), values)

    def _insert(self, told: Sequence[LogAttempt]) -> None:
        if not told:
            return
        keys = self._connection.execute(_NEW_ATTEMPT, [self._new_row(one) for one in told]).scalars()
        for one, key in zip(told, keys, strict=True):
            one.attempt.id = key

    def _new_row(self, one: LogAttempt) -> Values:
        attempt = one.attempt
        return {
            "trial_id": attempt.trial.id,
            "ordinal": attempt.ordinal,
            "log_id": one.log_id,
            "log_attempt": attempt.log_attempt,
            "started_seq": attempt.started_seq,
            "started_at": attempt.started_at,
            **self._ending(attempt),
        }

    def _complete(self, attempts: Sequence[Attempt]) -> None:
        if attempts:
            rows = [{"attempt_key": attempt.id, **self._ending(attempt)} for attempt in attempts]
            self._connection.execute(_COMPLETE_ATTEMPT, rows)

    def _ending(self, attempt: Attempt) -> Values:
        finished = attempt.finished
        failure = finished.failure if finished else None
        return {
            "finished_seq": attempt.finished_seq,
            "finished_at": attempt.finished_at,
            "stored_at": self._now,
            "outcome": _outcome(finished),
            "counted": attempt.counted,
            "invalid": list(finished.invalid) if finished else None,
            "failure_kind": failure.kind if failure else None,
            "failure_message": failure.message if failure else None,
            "failure_signal": failure.signal if failure else None,
            "failure_exit_code": failure.exit_code if failure else None,
            "failure_stderr_tail": failure.stderr_tail if failure else None,
            "duration_ns": finished.duration_ns if finished else None,
            "conditions_before": attempt.conditions_before,
            "conditions_after": finished.conditions if finished else None,
            "runtime_reported": finished.runtime if finished else None,
        }


def _numbers(one: LogAttempt, finished: TrialFinished) -> Iterator[tuple[Table, Values]]:
    attempt = one.attempt
    identity = {
        "runtime_sha256": _runtime_identity(attempt.trial, finished.runtime),
        "model_sha256": attempt.trial.model_sha256,
        "worker_sha256": one.worker_sha256,
    }
    for report in finished.metrics:
        key = {"attempt_id": attempt.id, "metric": report.name}
        yield t.measurement, {**key, **_summary_columns(report), **identity}
        if report.block is not None and report.summary is not None:
            block = report.block
            yield (
                t.sample_block,
                {
                    **key,
                    "codec": block.codec,
                    "batch": block.batch,
                    "count": block.count,
                    "crc32": block.crc32,
                    "data": block.data,
                },
            )
            for low, high, count in report.summary.histogram:
                yield t.sample_hist, {**key, "bin_low": low, "bin_high": high, "count": count}
    if finished.outputs is not None:
        outputs = finished.outputs
        yield (
            t.preflight_output,
            {
                "attempt_id": attempt.id,
                "inputs": outputs.inputs,
                "count": outputs.count,
                "values_per_output": outputs.values_per_output,
                "data": outputs.data,
                "top1": outputs.top1,
            },
        )


def _outcome(finished: TrialFinished | None) -> str | None:
    if finished is None:
        return None
    return Outcome.OK if finished.ok else Outcome.FAILED


def _summary_columns(report: MetricReport) -> Values:
    summary, block = report.summary, report.block
    columns: Values = {
        "unit": metric_named(report.name).unit.value,
        "value": report.value,
        "n": summary.n if summary else None,
        "batch": block.batch if block else None,
    }
    for name in ("p50", "p90", "p99", "p99_9"):
        percentile: Percentile | None = getattr(summary, name) if summary else None
        columns[name] = percentile.value if percentile else None
        columns[f"{name}_ci_low"] = percentile.low if percentile else None
        columns[f"{name}_ci_high"] = percentile.high if percentile else None
    for name in ("mean", "sd", "mad", "min", "max"):
        columns[name] = getattr(summary, name) if summary else None
    return columns


def _runtime_identity(trial: KnownTrial, reported: Mapping[str, Any] | None) -> str:
    reported = reported or {}
    return _identity_hash(trial.runtime_sha256, str(reported.get("name")), str(reported.get("version")))


@lru_cache(maxsize=1024)
def _identity_hash(planned: str, name: str, version: str) -> str:
    return hashlib.sha256("\0".join((planned, name, version)).encode()).hexdigest()
