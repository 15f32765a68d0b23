"""Write attempts with measurements, raw samples, histograms, outputs and accounts of power."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table, bindparam, update

from device_worker.protocol.vocabulary import Outcome
from orchestrator.store.ingest.events import Block, TrialFinished
from orchestrator.store.ingest.power import trace_columns
from orchestrator.store.ingest.replay import Attempt, KnownTrial
from orchestrator.store.ingest.summary import Summary
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.bulk import insert_rows, insert_with_ids

Values = dict[str, Any]
Shape = tuple[Table, str]
"""A table, and a name for the columns that rows of the shape have: the others are NULL."""
Rows = Iterator[tuple[Shape, Values]]

_BEGINNING = ("id", "trial_id", "ordinal", "log_id", "log_attempt", "started_seq", "started_at")
_COMPLETE_ATTEMPT = (
    update(t.attempt)
    .where(t.attempt.c.id == bindparam("attempt_key"))
    .values({column.name: bindparam(column.name) for column in t.attempt.c if column.name not in _BEGINNING})
)


# A metric of one number, as most are, has few columns, and is written apart from those with samples.
_ONE_NUMBER: Shape = (t.measurement, "one number")
_SAMPLED: Shape = (t.measurement, "sampled")
_BLOCK: Shape = (t.sample_block, "")
_BINS: Shape = (t.sample_hist, "")
_OUTPUT: Shape = (t.preflight_output, "")
_RESULTS: Shape = (t.input_result, "")
_ACCOUNT: Shape = (t.power_account, "")
_TRACE: Shape = (t.power_trace, "")
_ABSENT: Shape = (t.absent_metric, "")
_OPERATOR: Shape = (t.operator_profile, "")

ROWS_AT_ONCE = 5_000
"""Insert at most this many rows of an attempt's tables at a time, so that memory is bounded."""


@dataclass(frozen=True, slots=True)
class LogAttempt:
    """Hold an attempt with its log and the worker of the log."""

    log_id: str
    worker_sha256: str
    attempt: Attempt


class AttemptRows:
    """Write attempts within a transaction."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    def write(self, told: Sequence[LogAttempt]) -> None:
        """Insert new attempts, complete open attempts, and store the numbers of finished attempts."""
        self._complete([one.attempt for one in told if one.attempt.id is not None])
        self._insert([one for one in told if one.attempt.id is None])
        # Gathered by table: a statement per table and batch, because most of a statement's cost is per call.
        rows: dict[Shape, list[Values]] = {}
        count = 0
        for one in told:
            if one.attempt.finished is None:
                continue
            for write_part in PART_WRITERS.values():
                for shape, row in write_part(one, one.attempt.finished):
                    rows.setdefault(shape, []).append(row)
                    count += 1
                    if count % ROWS_AT_ONCE == 0:
                        self._flush(rows)
        self._flush(rows)

    def _flush(self, rows: dict[Shape, list[Values]]) -> None:
        # A row comes after the rows that it refers to, so the tables are flushed in the order of their first rows.
        for (table, _name), values in rows.items():
            insert_rows(self._connection, table, values)
            # Emptied and kept, since the order of the keys is the order of the flushes to come.
            values.clear()

    def _insert(self, told: Sequence[LogAttempt]) -> None:
        keys = insert_with_ids(self._connection, t.attempt, [self._new_row(one) for one in told])
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
        window = finished.window if finished else None
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
            "window_begin_mono_ns": window.begin_mono_ns if window else None,
            "window_end_mono_ns": window.end_mono_ns if window else None,
            "exclusive": finished.exclusive if finished else None,
            "runtime_reported": finished.runtime if finished else None,
        }


def _measurements(one: LogAttempt, finished: TrialFinished) -> Rows:
    attempt = one.attempt
    identity = {
        "runtime_sha256": _runtime_identity(attempt.trial, finished.runtime),
        "model_sha256": attempt.trial.model_sha256,
        "worker_sha256": one.worker_sha256,
    }
    for report in finished.metrics:
        key = {"attempt_id": attempt.id, "metric": report.name}
        numbers = {**key, "unit": report.unit, "value": report.value, "source": report.source, **identity}
        if report.block is None or report.summary is None:
            yield _ONE_NUMBER, numbers
            continue
        yield _SAMPLED, {**numbers, "batch": report.block.batch, **_summary_columns(report.summary)}
        yield _BLOCK, {**key, **_block_columns(report.block)}
        for low, high, count in report.summary.histogram:
            yield _BINS, {**key, "bin_low": low, "bin_high": high, "count": count}


def _preflight_output(one: LogAttempt, finished: TrialFinished) -> Rows:
    outputs = finished.outputs
    if outputs is not None:
        yield (
            _OUTPUT,
            {
                "attempt_id": one.attempt.id,
                "inputs": outputs.inputs,
                "count": outputs.count,
                "values_per_output": outputs.values_per_output,
                "data": outputs.data,
                "top1": outputs.top1,
                "reason": outputs.reason,
                "layout": outputs.layout,
                "input_ranges": outputs.input_ranges,
            },
        )


def _input_results(one: LogAttempt, finished: TrialFinished) -> Rows:
    results = finished.input_results
    if results is not None:
        yield (
            _RESULTS,
            {
                "attempt_id": one.attempt.id,
                "metric": results.metric,
                "dataset_sha256": results.dataset_sha256,
                "encoding": results.encoding,
                "count": results.count,
                "data": results.data,
            },
        )


def _power_account(one: LogAttempt, finished: TrialFinished) -> Rows:
    power = finished.power
    if power is not None:
        yield (
            _ACCOUNT,
            {
                "attempt_id": one.attempt.id,
                "source": power.source,
                "kind": power.kind,
                "period_s": power.period_s,
                "samples": power.samples,
                "rate_hz": power.rate_hz,
                "idle_w": power.idle_w,
                "idle_u95_w": power.idle_u95_w,
                "idle_before_w": power.idle_before_w,
                "idle_after_w": power.idle_after_w,
                "idle_windows": power.idle_windows,
                "invoked_ratio": power.invoked_ratio,
                "is_estimate": power.is_estimate,
                "accuracy_ratio": power.accuracy_ratio,
                "overhead_cpu_ns": power.overhead_cpu_ns,
                "reason": power.reason,
                "energy_reason": power.energy_reason,
                "caution": power.caution,
            },
        )
        trace = power.trace
        if trace is not None and power.source is not None and power.kind is not None:
            key = {"attempt_id": one.attempt.id, "source": power.source, "kind": power.kind}
            yield _TRACE, {**key, **trace_columns(trace)}


def _absent_metrics(one: LogAttempt, finished: TrialFinished) -> Rows:
    for absent in finished.absent:
        yield _ABSENT, {"attempt_id": one.attempt.id, "metric": absent.name, "reason": absent.reason}


def _operators(one: LogAttempt, finished: TrialFinished) -> Rows:
    profile = finished.profile
    for position, operator in enumerate(profile.operators if profile else (), start=1):
        key = {"attempt_id": one.attempt.id, "position": position}
        yield _OPERATOR, {**key, "runs": profile.runs if profile else 0, **operator._asdict()}


PART_WRITERS: Mapping[str, Callable[[LogAttempt, TrialFinished], Rows]] = {
    "metrics": _measurements,
    "outputs": _preflight_output,
    "input_results": _input_results,
    "power": _power_account,
    "absent": _absent_metrics,
    "profile": _operators,
}
"""The writer of each part of a finished attempt with tables of its own, by the part's name in `TrialFinished`.

A new part is one entry. The parts stored as columns of `attempt` are written by `AttemptRows`.
"""


def _outcome(finished: TrialFinished | None) -> str | None:
    if finished is None:
        return None
    return Outcome.OK if finished.ok else Outcome.FAILED


_NONE = (None, None, None)


def _summary_columns(summary: Summary) -> Values:
    p50, p50_low, p50_high = summary.p50 or _NONE
    p90, p90_low, p90_high = summary.p90 or _NONE
    p99, p99_low, p99_high = summary.p99 or _NONE
    p99_9, p99_9_low, p99_9_high = summary.p99_9 or _NONE
    return {
        "n": summary.n,
        "p50": p50,
        "p50_ci_low": p50_low,
        "p50_ci_high": p50_high,
        "p90": p90,
        "p90_ci_low": p90_low,
        "p90_ci_high": p90_high,
        "p99": p99,
        "p99_ci_low": p99_low,
        "p99_ci_high": p99_high,
        "p99_9": p99_9,
        "p99_9_ci_low": p99_9_low,
        "p99_9_ci_high": p99_9_high,
        "mean": summary.mean,
        "sd": summary.sd,
        "mad": summary.mad,
        "min": summary.min,
        "max": summary.max,
    }


def _block_columns(block: Block) -> Values:
    return {
        "codec": block.codec,
        "batch": block.batch,
        "count": block.count,
        "crc32": block.crc32,
        "data": block.data,
    }


def _runtime_identity(trial: KnownTrial, reported: Mapping[str, Any] | None) -> str:
    reported = reported or {}
    # Files that inputs came from belong to what was run, as the program does: other ones are another build.
    files = reported.get("input_files")
    told = json.dumps(files, sort_keys=True) if isinstance(files, Mapping) else ""
    return _identity_hash(trial.runtime_sha256, str(reported.get("name")), str(reported.get("version")), told)


# Cached: the trials of a job all report the same name and version.
@lru_cache(maxsize=1024)
def _identity_hash(planned: str, name: str, version: str, files: str) -> str:
    # No name or version contains NUL, so that different parts never give the same text.
    parts = (planned, name, version, files) if files else (planned, name, version)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
