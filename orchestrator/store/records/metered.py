"""Read the times of attempts whose power a meter of the controller has seen, and write the figures of the meter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, select, update

from device_worker.protocol.vocabulary import Outcome
from orchestrator.domain.joined_power import JoinedPower, MeteredAttempt
from orchestrator.domain.meter import ClockOffset
from orchestrator.domain.metric import POWER_METRICS, unit_named
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.runtime import RuntimeSource
from orchestrator.store.ingest.cell_values import CountedTrial, refresh_cells
from orchestrator.store.ingest.power import PowerTrace, read_trace, trace_columns
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.engine import Database
from orchestrator.store.values.fields import Fields

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCKS_MAX = 1_000
_ACCOUNT = frozenset(column.name for column in t.power_account.c) - {"attempt_id"}


class MeteredTable:
    """Play the role `MeteredPower`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def metered_attempts(self, run: str, device: str) -> Sequence[MeteredAttempt]:
        """Return the good attempts at measure trials of a device in a run, in the order of execution."""
        with self._database.read() as connection:
            rows = connection.execute(_ATTEMPTS, {"run": run, "device": device}).all()
        return [_attempt(row._asdict()) for row in rows]

    def clocks(self, run: str, device: str) -> Sequence[ClockOffset]:
        """Return the comparisons of a device's clock with the controller's during a run."""
        with self._database.read() as connection:
            facts = connection.execute(_FACTS, {"run": run, "device": device}).scalars().all()
        return [clock for one in facts if (clock := _clock(one.get("clock"), one.get("boot_id"))) is not None]

    def join(self, run: str, device: str, joined: Sequence[JoinedPower]) -> None:
        """Write the figures, accounts and readings of attempts, in the place of those of an earlier join."""
        with self._database.write() as connection:
            # As the writer of logs: cells of a device have one writer at a time.
            connection.execute(_LOCK, {"run": run, "device": device})
            for one in joined:
                _write(connection, one)
            attempts = [one.attempt for one in joined]
            counted = connection.execute(
                select(t.trial.c.job_id, t.trial.c.kind)
                .join(t.attempt, t.attempt.c.trial_id == t.trial.c.id)
                .where(t.attempt.c.id.in_(attempts), t.attempt.c.counted)
            ).all()
            refresh_cells(connection, [CountedTrial(row.job_id, row.kind, ()) for row in counted])


def _attempt(row: Mapping[str, Any]) -> MeteredAttempt:
    begin_ns, end_ns, finished = row["window_begin_mono_ns"], row["window_end_mono_ns"], row["finished_at"]
    idle = row["idle_windows"] or {}
    inferences = (row["n"] or 0) * (row["batch"] or 1)
    return MeteredAttempt(
        attempt=row["id"],
        window=None if begin_ns is None or end_ns is None else (begin_ns, end_ns),
        inferences=inferences,
        invoked_ns=round((row["mean"] or 0.0) * inferences),
        idle_before=_borders(idle.get("before")),
        idle_after=_borders(idle.get("after")),
        finished_unix_ns=None if finished is None else round((finished - _EPOCH).total_seconds() * 1e9),
        source=row["source"],
        items=_items(row["settings"], row["runtime_source"]),
    )


def _items(settings: Mapping[str, Any] | None, runtime_source: str) -> int | None:
    """Return the batch of a job. What a setting of that name means to a program, nobody knows."""
    batch = (settings or {}).get("batch")
    return batch if type(batch) is int and runtime_source != RuntimeSource.EXEC.value else None


def _borders(value: Any) -> tuple[int, int] | None:
    return (value[0], value[1]) if value else None


def _clock(value: Any, boot_id: object) -> ClockOffset | None:
    """Return the comparison of clocks in a device's facts: the controller's own words, but kept beside a device's."""
    numbers = ("offset_ns", "uncertainty_ns", "asked_unix_ns")
    if not isinstance(value, dict) or not all(isinstance(value.get(name), int) for name in numbers):
        return None
    offset_ns, uncertainty_ns, asked_unix_ns = (value[name] for name in numbers)
    return ClockOffset(offset_ns, uncertainty_ns, asked_unix_ns, boot_id if isinstance(boot_id, str) else None)


def _write(connection: Connection, one: JoinedPower) -> None:
    attempt = one.attempt
    connection.execute(
        delete(t.measurement).where(
            t.measurement.c.attempt_id == attempt,
            t.measurement.c.metric.in_(POWER_METRICS),
            t.measurement.c.source.is_not(None),
        )
    )
    hashes = connection.execute(_HASHES, {"attempt": attempt}).one_or_none()
    source = one.account.get("source")
    known = set(
        connection.execute(select(t.measurement.c.metric).where(t.measurement.c.attempt_id == attempt)).scalars()
    )
    if hashes is not None:
        rows = [
            {"attempt_id": attempt, "metric": name, "unit": unit_named(name), "value": value, "source": source}
            | dict(hashes._mapping)
            for name, value in one.figures.items()
            if name not in known  # what a program reports of itself stands
        ]
        if rows:
            connection.execute(insert(t.measurement), rows)
    blank = dict.fromkeys(_ACCOUNT - {"samples", "overhead_cpu_ns", "idle_windows"})
    account = {**blank, "samples": 0, "overhead_cpu_ns": 0, **one.account}
    found = connection.execute(
        update(t.power_account).where(t.power_account.c.attempt_id == attempt).values(account)
    ).rowcount
    if not found:
        connection.execute(insert(t.power_account), [{"attempt_id": attempt, **account}])
    connection.execute(delete(t.power_trace).where(t.power_trace.c.attempt_id == attempt))
    trace: PowerTrace | None = None if one.trace is None else read_trace(Fields(dict(one.trace), "trace"))
    if trace is not None and source is not None:
        row = {"attempt_id": attempt, "source": source, "kind": account["kind"], **trace_columns(trace)}
        connection.execute(insert(t.power_trace), [row])


_own = t.measurement.alias("own")
_ATTEMPTS = (
    select(
        t.attempt.c.id,
        t.attempt.c.window_begin_mono_ns,
        t.attempt.c.window_end_mono_ns,
        t.attempt.c.finished_at,
        t.measurement.c.n,
        t.measurement.c.batch,
        t.measurement.c.mean,
        t.power_account.c.idle_windows,
        t.job.c.settings,
        t.runtime.c.source.label("runtime_source"),
        select(func.min(_own.c.source))
        .where(_own.c.attempt_id == t.attempt.c.id, _own.c.metric.in_(POWER_METRICS))
        .scalar_subquery()
        .label("source"),
    )
    .join(t.trial, t.trial.c.id == t.attempt.c.trial_id)
    .join(t.job, t.job.c.id == t.trial.c.job_id)
    .join(t.runtime, t.runtime.c.id == t.job.c.runtime_id)
    .join(t.run_device, t.run_device.c.id == t.trial.c.run_device_id)
    .join(t.device, t.device.c.id == t.run_device.c.device_id)
    .outerjoin(
        t.measurement, and_(t.measurement.c.attempt_id == t.attempt.c.id, t.measurement.c.metric == "latency_ns")
    )
    .outerjoin(t.power_account, t.power_account.c.attempt_id == t.attempt.c.id)
    .where(
        t.run_device.c.run_id == bindparam("run"),
        t.device.c.name == bindparam("device"),
        t.trial.c.kind == TrialKind.MEASURE.value,
        t.attempt.c.outcome == Outcome.OK,
    )
    .order_by(t.attempt.c.id)
)
_LOCK = (
    select(t.run_device.c.id)
    .join(t.device, t.device.c.id == t.run_device.c.device_id)
    .where(t.run_device.c.run_id == bindparam("run"), t.device.c.name == bindparam("device"))
    .with_for_update(of=t.run_device)
)
_FACTS = (
    select(t.device_snapshot.c.facts)
    .join(t.device, t.device.c.id == t.device_snapshot.c.device_id)
    .join(t.run_device, t.run_device.c.device_id == t.device.c.id)
    .where(
        t.run_device.c.run_id == bindparam("run"),
        t.device.c.name == bindparam("device"),
        t.device_snapshot.c.id >= t.run_device.c.snapshot_id,
    )
    .order_by(t.device_snapshot.c.id)
    .limit(_CLOCKS_MAX)
)
_HASHES = select(t.measurement.c.runtime_sha256, t.measurement.c.model_sha256, t.measurement.c.worker_sha256).where(
    t.measurement.c.attempt_id == bindparam("attempt"), t.measurement.c.metric == "latency_ns"
)
