"""Write the new events of many logs within a transaction, in few statements.

The records of fifty devices take about as many statements as the records of a single device. Most of a statement's cost
is per call, not per row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

from sqlalchemy import Connection, and_, bindparam, func, select, tuple_, update

from device_worker.protocol.vocabulary import RunOutcome
from orchestrator.domain.plan.extend import extensions
from orchestrator.domain.run import DeviceRunState, Ingested, Offset, TrialChange, TrialState
from orchestrator.store.ingest.agreements import refresh_agreements
from orchestrator.store.ingest.attempt_rows import AttemptRows, LogAttempt
from orchestrator.store.ingest.cell_values import CountedTrial, refresh_cells
from orchestrator.store.ingest.events import (
    Ignored,
    LogEvent,
    LogOpened,
    RunFinished,
    RunnerStarted,
    TrialEvent,
    TrialFinished,
    TrialSkipped,
    TrialSpared,
    TrialStarted,
)
from orchestrator.store.ingest.log_reader import BadLog, LogKey, NewRecords
from orchestrator.store.ingest.replay import Attempt, KnownTrial, Replay
from orchestrator.store.records.run_states import NewState, change_device_states
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.bulk import insert_rows
from orchestrator.store.sql.database_clock import controller_time
from orchestrator.store.values.hygiene import Unfit

EVENTS_AT_ONCE = 500
"""Load and write at most this many events at a time, so that memory and the length of statements are bounded."""

# A device names the log, and the name is a key here.
LOG_ID_LENGTH_MAX = 200


@dataclass(slots=True)
class _Log:
    """Hold the stored state of a log, with the device's row locked in the transaction, and the new events."""

    key: LogKey
    run_device: int
    plan_sha256: str | None
    last_seq: int = 0
    worker_sha256: str = ""
    outcome: str | None = None
    opened: bool = False
    new: Sequence[LogEvent] = ()
    changes: list[TrialChange] = field(default_factory=list)


_Piece = list[tuple[_Log, Sequence[LogEvent]]]


def committed_offsets(connection: Connection, keys: Sequence[LogKey]) -> dict[LogKey, int]:
    """Return the last committed `seq` of each log. Unknown logs are left out."""
    rows = connection.execute(_OFFSETS, _names(keys))
    return {LogKey(row.run_id, row.name, row.log_id): row.last_seq for row in rows}


class LogWriter:
    """Store the new events of logs within a transaction. An instance is used once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._now = controller_time(connection)
        self._states: dict[int, NewState] = {}
        self._counted: list[CountedTrial] = []

    def store(self, records: Sequence[NewRecords]) -> list[Ingested]:
        """Store the new events, and return the new offsets and changes by log. Raise BadLog for an unfit event."""
        logs = self._lock(records)
        for piece in _pieces(logs):
            self._store_piece(piece)
        # After the last piece, so that each cell is computed once.
        agreements = refresh_agreements(self._connection, self._counted)
        refresh_cells(self._connection, [*self._counted, *agreements])
        self._advance([log for log in logs if log.new])
        # Once for all devices: the run's row is locked only here, at the end.
        change_device_states(self._connection, self._states)
        return [
            Ingested(log.key.run, log.key.device, Offset(log.key.log_id, log.last_seq), tuple(log.changes))
            for log in logs
        ]

    def _lock(self, records: Sequence[NewRecords]) -> list[_Log]:
        names = _names([one.key for one in records])
        devices = {(row.run_id, row.name): row for row in self._connection.execute(_LOCKED_DEVICES, names)}
        offsets = {
            (row.run_device_id, row.log_id): row
            for row in self._connection.execute(_OFFSETS_OF, {"run_devices": [row.id for row in devices.values()]})
        }
        logs = []
        for one in records:
            # Read again under the lock: another controller may have stored some of these records since.
            key, first = one.key, one.events[0].seq if one.events else 1
            device = devices.get((key.run, key.device))
            if device is None:
                raise BadLog(key, first, f"run {key.run} has no device of this name")
            if not (key.log_id.isprintable() and 0 < len(key.log_id) <= LOG_ID_LENGTH_MAX):
                raise BadLog(key, first, "the log's id is not a name")
            offset = offsets.get((device.id, key.log_id))
            log = _Log(key, device.id, device.plan_sha256)
            if offset is not None:
                log.last_seq, log.worker_sha256, log.outcome = offset.last_seq, offset.worker_sha256, offset.outcome
            log.new = _still_new(log, one.events)
            logs.append(log)
        return logs

    def _store_piece(self, piece: _Piece) -> None:
        replays = self._load(piece)
        for log, events in piece:
            for event in events:
                try:
                    self._apply(log, event, replays[log.run_device])
                except Unfit as error:
                    raise BadLog(log.key, event.seq, str(error)) from None
        self._write(piece, replays)

    def _write(self, piece: _Piece, replays: dict[int, Replay]) -> None:
        attempts: list[LogAttempt] = []
        states: dict[tuple[TrialState, str | None], list[int]] = {}
        for log, _events in piece:
            replay = replays[log.run_device]
            attempts += [LogAttempt(log.key.log_id, log.worker_sha256, attempt) for attempt in replay.attempts]
            for trial in replay.changed.values():
                states.setdefault((trial.state, trial.skip_reason), []).append(trial.id)
            log.changes += replay.changes
            self._counted += [
                CountedTrial(attempt.trial.job_id, attempt.trial.kind, attempt.finished.metrics)
                for attempt in replay.attempts
                if attempt.counted and attempt.finished is not None
            ]
        AttemptRows(self._connection, self._now).write(attempts)
        for (state, reason), trials in states.items():
            self._connection.execute(_SET_TRIALS, {"trials": trials, "to": state.value, "reason": reason})

    def _apply(self, log: _Log, event: LogEvent, replay: Replay) -> None:
        match event.body:
            case LogOpened() as opened:
                self._open(log, opened)
            case RunnerStarted():
                log.outcome = None  # a log ended by a full disk goes on after a resume
                self._states[log.run_device] = NewState(DeviceRunState.RUNNING)
            case RunFinished() as finished:
                log.outcome = finished.outcome
                self._states[log.run_device] = _ending(finished, log.key.run)
            case TrialStarted() | TrialFinished() | TrialSkipped() | TrialSpared() as told:
                replay.apply(event, told)
            case Ignored():
                pass
            case forgotten:
                assert_never(forgotten)

    def _open(self, log: _Log, opened: LogOpened) -> None:
        # Keys of trials mean something within their plan only.
        if opened.plan_sha256 != log.plan_sha256 and not self._was_extended(log, opened.plan_sha256):
            raise Unfit(f"it follows plan {opened.plan_sha256[:12]}, not the one of this run")
        log.worker_sha256 = opened.worker_sha256
        log.opened = True

    def _was_extended(self, log: _Log, plan_sha256: str) -> bool:
        """Say whether the device's plan extends the plan with the given hash, and so has the same trials."""
        document = self._connection.execute(_DOCUMENT, {"run_device": log.run_device}).scalar()
        return document is not None and plan_sha256 in (one.extended_sha256 for one in extensions(document.encode()))

    def _advance(self, logs: Sequence[_Log]) -> None:
        for log in logs:
            log.last_seq = log.new[-1].seq
        # A log that begins here is written once, with the last record.
        insert_rows(self._connection, t.event_offset, [_offset_row(log) for log in logs if log.opened])
        rows = [
            {"device": log.run_device, "log": log.key.log_id, "seq": log.last_seq, "ended": log.outcome} for log in logs
        ]
        begun = [row for log, row in zip(logs, rows, strict=True) if not log.opened]
        if begun:
            self._connection.execute(_SET_OFFSET, begun)
        if rows:
            self._connection.execute(_SET_LOG, rows)

    def _load(self, piece: _Piece) -> dict[int, Replay]:
        """Return a replay for each device, with the stored trials and the open attempts of the events in the piece."""
        keys = sorted(
            {
                (log.run_device, event.body.trial)
                for log, events in piece
                for event in events
                if isinstance(event.body, TrialEvent)
            }
        )
        trials: dict[int, dict[str, KnownTrial]] = {log.run_device: {} for log, _events in piece}
        by_id: dict[int, KnownTrial] = {}
        for row in self._connection.execute(_TRIALS, {"keys": keys}) if keys else ():
            run_device, *values = row
            known = KnownTrial(*values)  # `_TRIALS` selects in the order of the fields
            known.state = TrialState(known.state)
            by_id[known.id] = trials[run_device][known.key] = known
        open_attempts = self._open_attempts(by_id)
        return {
            log.run_device: Replay(
                log.key.device,
                trials[log.run_device],
                [
                    attempt
                    for trial in trials[log.run_device].values()
                    for attempt in open_attempts.get((trial.id, log.key.log_id), ())
                ],
            )
            for log, _events in piece
        }

    def _open_attempts(self, by_id: dict[int, KnownTrial]) -> dict[tuple[int, str], list[Attempt]]:
        found: dict[tuple[int, str], list[Attempt]] = {}
        for row in self._connection.execute(_OPEN_ATTEMPTS, {"ids": list(by_id)}) if by_id else ():
            attempt = Attempt(by_id[row.trial_id], row.log_attempt, id=row.id, conditions_before=row.conditions_before)
            found.setdefault((row.trial_id, row.log_id), []).append(attempt)
        return found


def _offset_row(log: _Log) -> dict[str, Any]:
    return {
        "run_device_id": log.run_device,
        "log_id": log.key.log_id,
        "last_seq": log.last_seq,
        "worker_sha256": log.worker_sha256,
        "outcome": log.outcome,
    }


def _names(keys: Sequence[LogKey]) -> dict[str, list[str]]:
    return {"runs": sorted({key.run for key in keys}), "names": sorted({key.device for key in keys})}


def _still_new(log: _Log, events: Sequence[LogEvent]) -> Sequence[LogEvent]:
    new = [event for event in events if event.seq > log.last_seq]
    if new and new[0].seq != log.last_seq + 1:
        raise BadLog(log.key, log.last_seq + 1, f"record {new[0].seq} arrived instead")
    return new


def _pieces(logs: Sequence[_Log]) -> Iterator[_Piece]:
    """Cut the new events of the logs into pieces of at most EVENTS_AT_ONCE events.

    A piece has at most one log of a device, because a replay holds the open attempts of a single log.
    """
    piece: _Piece = []
    size = 0
    for log in logs:
        start = 0
        while start < len(log.new):
            if size == EVENTS_AT_ONCE or any(other.run_device == log.run_device for other, _events in piece):
                yield piece
                piece, size = [], 0
            events = log.new[start : start + EVENTS_AT_ONCE - size]
            piece.append((log, events))
            size += len(events)
            start += len(events)
    if piece:
        yield piece


def _ending(finished: RunFinished, run: str) -> NewState:
    state, error, hint = _ENDINGS[finished.outcome]
    return NewState(state, error, hint and hint.format(run=run))


_ENDINGS: dict[str, tuple[DeviceRunState, str | None, str | None]] = {
    RunOutcome.COMPLETE: (DeviceRunState.COMPLETE, None, None),
    RunOutcome.CANCELLED: (DeviceRunState.CANCELLED, None, None),
    RunOutcome.DISK_FULL: (
        DeviceRunState.STOPPED,
        "the device's disk is full",
        "free some space there, then: benchfleet runs resume {run}",
    ),
}

_ARE_DEVICES = and_(
    t.run_device.c.run_id.in_(bindparam("runs", expanding=True)),
    t.run_device.c.device_id == t.device.c.id,
    t.device.c.name.in_(bindparam("names", expanding=True)),
)
_OFFSETS = select(t.run_device.c.run_id, t.device.c.name, t.event_offset.c.log_id, t.event_offset.c.last_seq).where(
    _ARE_DEVICES, t.event_offset.c.run_device_id == t.run_device.c.id
)
_LOCKED_DEVICES = (
    select(t.run_device.c.id, t.run_device.c.run_id, t.device.c.name, t.run_device.c.plan_sha256)
    .where(_ARE_DEVICES)
    .order_by(t.run_device.c.id)  # the same order for everyone who locks several rows, so that no two block each other
    .with_for_update(of=t.run_device)
)
_OFFSETS_OF = select(t.event_offset).where(t.event_offset.c.run_device_id.in_(bindparam("run_devices", expanding=True)))
_DOCUMENT = select(t.run_device.c.plan_document).where(t.run_device.c.id == bindparam("run_device"))
_SET_OFFSET = (
    update(t.event_offset)
    .where(t.event_offset.c.run_device_id == bindparam("device"), t.event_offset.c.log_id == bindparam("log"))
    .values(last_seq=bindparam("seq"), outcome=bindparam("ended"))
)
_SET_LOG = update(t.run_device).where(t.run_device.c.id == bindparam("device")).values(log_id=bindparam("log"))
_SET_TRIALS = (
    update(t.trial)
    .where(t.trial.c.id.in_(bindparam("trials", expanding=True)))
    .values(state=bindparam("to"), skip_reason=bindparam("reason"))
)
_LAST_ORDINAL = (
    select(func.coalesce(func.max(t.attempt.c.ordinal), 0))
    .where(t.attempt.c.trial_id == t.trial.c.id)
    .scalar_subquery()
    .label("ordinal")
)
_TRIALS = (
    select(
        t.trial.c.run_device_id,
        t.trial.c.id,
        t.trial.c.key,
        t.trial.c.job_id,
        t.job.c.key.label("job"),
        t.job.c.label,
        t.trial.c.kind,
        t.trial.c.state,
        _LAST_ORDINAL,
        t.runtime.c.sha256.label("runtime_sha256"),
        t.model_variant.c.sha256.label("model_sha256"),
        t.trial.c.skip_reason,
    )
    .join(t.job, t.job.c.id == t.trial.c.job_id)
    .join(t.runtime, t.runtime.c.id == t.job.c.runtime_id)
    .join(t.model_variant, t.model_variant.c.id == t.job.c.variant_id)
    .where(tuple_(t.trial.c.run_device_id, t.trial.c.key).in_(bindparam("keys", expanding=True)))
)
_OPEN_ATTEMPTS = (
    select(
        t.attempt.c.id, t.attempt.c.trial_id, t.attempt.c.log_id, t.attempt.c.log_attempt, t.attempt.c.conditions_before
    )
    .where(t.attempt.c.trial_id.in_(bindparam("ids", expanding=True)), t.attempt.c.finished_seq.is_(None))
    .order_by(t.attempt.c.ordinal)
)
