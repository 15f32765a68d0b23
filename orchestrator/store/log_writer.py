"""Write the new events of many logs within one transaction, in as few statements as they allow.

What fifty devices sent costs about as many statements as what one did: most of a statement's cost is there per call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, insert, select, tuple_, update

from device_worker.protocol.vocabulary import RunOutcome
from orchestrator.domain.run import DeviceRunState, Ingested, Offset, TrialChange, TrialState
from orchestrator.store import tables as t
from orchestrator.store.attempt_rows import AttemptRows, LogAttempt
from orchestrator.store.attempts import Attempt, KnownTrial, Replay
from orchestrator.store.cleaning import Unfit
from orchestrator.store.events import LogEvent, LogOpened, RunFinished, RunnerStarted
from orchestrator.store.log_reader import BadLog, LogKey, NewRecords
from orchestrator.store.run_states import NewState, change_device_states

EVENTS_AT_ONCE = 500
LOG_ID_LENGTH_MAX = 200


@dataclass(slots=True)
class _Log:
    """A log as the database knows it, its device locked for this transaction, and what is new of it."""

    key: LogKey
    run_device: int
    plan_sha256: str | None
    last_seq: int
    worker_sha256: str
    new: Sequence[LogEvent] = ()
    changes: list[TrialChange] = field(default_factory=list)


_Piece = list[tuple[_Log, Sequence[LogEvent]]]


def committed_offsets(connection: Connection, keys: Sequence[LogKey]) -> dict[LogKey, int]:
    """Return how far these logs are committed; those that the database does not know are left out."""
    rows = connection.execute(_OFFSETS, _names(keys))
    return {LogKey(row.run_id, row.name, row.log_id): row.last_seq for row in rows}


class LogWriter:
    """One use: `store` within a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._now = datetime.now(UTC)
        self._opened: list[dict[str, Any]] = []
        self._states: dict[int, NewState] = {}

    def store(self, records: Sequence[NewRecords]) -> list[Ingested]:
        """Store what is still new (another controller may have been faster); raise BadLog for what cannot be."""
        logs = self._lock(records)
        for piece in _pieces(logs):
            self._store_piece(piece)
        self._advance([log for log in logs if log.new])
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
            key, first = one.key, one.events[0].seq if one.events else 1
            device = devices.get((key.run, key.device))
            if device is None:
                raise BadLog(key, first, f"run {key.run} has no device of this name")
            if not (key.log_id.isprintable() and 0 < len(key.log_id) <= LOG_ID_LENGTH_MAX):
                raise BadLog(key, first, "the log's id is not a name")
            offset = offsets.get((device.id, key.log_id))
            last_seq, worker = (offset.last_seq, offset.worker_sha256) if offset else (0, "")
            log = _Log(key, device.id, device.plan_sha256, last_seq, worker)
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
        attempts, states = [], []
        for log, _events in piece:
            replay = replays[log.run_device]
            attempts += [LogAttempt(log.key.log_id, log.worker_sha256, attempt) for attempt in replay.attempts]
            states += [
                {"trial_key": trial.id, "to": trial.state.value, "reason": trial.skip_reason}
                for trial in replay.changed.values()
            ]
            log.changes += replay.changes
        AttemptRows(self._connection, self._now).write(attempts)
        if states:
            self._connection.execute(_SET_TRIAL, states)

    def _apply(self, log: _Log, event: LogEvent, replay: Replay) -> None:
        match event.body:
            case LogOpened():
                self._open(log, event.body)
            case RunnerStarted():
                self._states[log.run_device] = NewState(DeviceRunState.RUNNING)
            case RunFinished():
                self._states[log.run_device] = _ending(event.body, log.key.run)
            case body if _trial_key(event):
                replay.apply(event, body)  # type: ignore[arg-type]

    def _open(self, log: _Log, opened: LogOpened) -> None:
        if opened.plan_sha256 != log.plan_sha256:
            raise Unfit(f"it follows plan {opened.plan_sha256[:12]}, not the one of this run")
        log.worker_sha256 = opened.worker_sha256
        self._opened.append(
            {
                "run_device_id": log.run_device,
                "log_id": log.key.log_id,
                "last_seq": 1,
                "worker_sha256": opened.worker_sha256,
            }
        )

    def _advance(self, logs: Sequence[_Log]) -> None:
        if self._opened:
            self._connection.execute(_OPEN_LOG, self._opened)
        for log in logs:
            log.last_seq = log.new[-1].seq
        if logs:
            rows = [{"device": log.run_device, "log": log.key.log_id, "seq": log.last_seq} for log in logs]
            self._connection.execute(_SET_OFFSET, rows)
            self._connection.execute(_SET_LOG, rows)

    def _load(self, piece: _Piece) -> dict[int, Replay]:
        """Return what the database knows of the trials of each device, and of their attempts still open in its log."""
        keys = sorted(
            {(log.run_device, key) for log, events in piece for event in events if (key := _trial_key(event))}
        )
        trials: dict[int, dict[str, KnownTrial]] = {log.run_device: {} for log, _events in piece}
        by_id: dict[int, KnownTrial] = {}
        for row in self._connection.execute(_TRIALS, {"keys": keys}) if keys else ():
            run_device, *values = row
            known = KnownTrial(*values)
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


def _names(keys: Sequence[LogKey]) -> dict[str, list[str]]:
    return {"runs": sorted({key.run for key in keys}), "names": sorted({key.device for key in keys})}


def _still_new(log: _Log, events: Sequence[LogEvent]) -> Sequence[LogEvent]:
    new = [event for event in events if event.seq > log.last_seq]
    if new and new[0].seq != log.last_seq + 1:
        raise BadLog(log.key, log.last_seq + 1, f"record {new[0].seq} arrived instead")
    return new


def _pieces(logs: Sequence[_Log]) -> Iterator[_Piece]:
    """Cut the new events of the logs into pieces of at most EVENTS_AT_ONCE, each with at most one log of a device."""
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


def _trial_key(event: LogEvent) -> str | None:
    return getattr(event.body, "trial", None)


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
    .order_by(t.run_device.c.id)  # whoever locks several takes them in this order, so that nobody waits in a circle
    .with_for_update(of=t.run_device)
)
_OFFSETS_OF = select(t.event_offset).where(t.event_offset.c.run_device_id.in_(bindparam("run_devices", expanding=True)))
_OPEN_LOG = insert(t.event_offset)
_SET_OFFSET = (
    update(t.event_offset)
    .where(t.event_offset.c.run_device_id == bindparam("device"), t.event_offset.c.log_id == bindparam("log"))
    .values(last_seq=bindparam("seq"))
)
_SET_LOG = update(t.run_device).where(t.run_device.c.id == bindparam("device")).values(log_id=bindparam("log"))
_SET_TRIAL = (
    update(t.trial)
    .where(t.trial.c.id == bindparam("trial_key"))
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
