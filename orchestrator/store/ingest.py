"""Store what devices' event logs say, exactly once: every record in the transaction that moves its log's offset.

The database is a function of the longest good beginning of each log, however it was cut into pieces, repeated or torn
on the way. A record that makes no sense stops its device's log there: it stays, with all that follow, on the device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, and_, bindparam, func, insert, select, update

from device_worker.protocol.vocabulary import RunOutcome
from orchestrator.domain.conversation import RecordsArrived
from orchestrator.domain.errors import CorruptLog
from orchestrator.domain.run import DeviceRunState, Ingested, Offset, TrialChange, TrialState
from orchestrator.store import tables as t
from orchestrator.store.attempts import Attempt, KnownTrial, Replay
from orchestrator.store.cleaning import Unfit
from orchestrator.store.engine import Database
from orchestrator.store.events import LogEvent, LogOpened, RunFinished, RunnerStarted
from orchestrator.store.log_reader import BadLog, LogKey, NewRecords, read_records
from orchestrator.store.run_states import change_device_state

EVENTS_AT_ONCE = 500
_HINT = "the log is still on the device; benchfleet runs show {run} tells what is stored"


@dataclass(frozen=True, slots=True)
class _Log:
    """A log as the database knows it, its device locked for this transaction."""

    key: LogKey
    run_device: int
    plan_sha256: str | None
    last_seq: int
    worker_sha256: str


class LogIngest:
    """Takes batches of records into a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ingest(self, batch: Sequence[RecordsArrived]) -> list[Ingested]:
        """Store what is new of a batch; see `orchestrator.store.base.RunProgress`."""
        pieces: dict[LogKey, list[bytes]] = {}
        for arrived in batch:
            pieces.setdefault(LogKey(arrived.run, arrived.device, arrived.log_id), []).append(arrived.lines)
        with self._database.read() as connection:
            offsets = {key: _committed(connection, key) for key in pieces}
        records = [read_records(key, pieces[key], offsets[key]) for key in sorted(pieces)]
        try:
            for one in records:
                if one.bad is not None:
                    raise one.bad
            return self._store(records)
        except BadLog as bad:
            raise self._stop_at(bad, next(one for one in records if one.key == bad.key)) from None

    def _store(self, records: Sequence[NewRecords]) -> list[Ingested]:
        with self._database.write() as connection:
            logs = [_lock_log(connection, one) for one in records]
            return [_LogWriter(connection, log).store(one.events) for log, one in zip(logs, records, strict=True)]

    def _stop_at(self, bad: BadLog, records: NewRecords) -> CorruptLog:
        """Store what precedes a bad record in its log, and return what to say about it."""
        good = [event for event in records.events if event.seq < bad.seq]
        try:
            if good:
                self._store([NewRecords(bad.key, good)])
        except BadLog as earlier:
            return self._stop_at(earlier, records)
        return CorruptLog(
            bad.key.device, f"log record {bad.seq} cannot be stored: {bad.reason}", _HINT.format(run=bad.key.run)
        )


def _committed(connection: Connection, key: LogKey) -> int:
    return connection.execute(_LOG_OFFSET, _names(key)).scalar() or 0


def _names(key: LogKey) -> dict[str, str]:
    return {"run": key.run, "device": key.device, "log": key.log_id}


_IS_DEVICE = and_(
    t.run_device.c.run_id == bindparam("run"),
    t.run_device.c.device_id == t.device.c.id,
    t.device.c.name == bindparam("device"),
)
_LOG_OFFSET = select(t.event_offset.c.last_seq).where(
    _IS_DEVICE, t.event_offset.c.run_device_id == t.run_device.c.id, t.event_offset.c.log_id == bindparam("log")
)
_DEVICE = select(t.run_device.c.id, t.run_device.c.plan_sha256).where(_IS_DEVICE).with_for_update(of=t.run_device)
_OFFSET = select(t.event_offset.c.last_seq, t.event_offset.c.worker_sha256).where(
    t.event_offset.c.run_device_id == bindparam("run_device"), t.event_offset.c.log_id == bindparam("log")
)


def _lock_log(connection: Connection, records: NewRecords) -> _Log:
    key = records.key
    first = records.events[0].seq if records.events else 1
    found = connection.execute(_DEVICE, {"run": key.run, "device": key.device}).one_or_none()
    if found is None:
        raise BadLog(key, first, f"run {key.run} has no device of this name")
    if not (key.log_id.isprintable() and 0 < len(key.log_id) <= 200):
        raise BadLog(key, first, "the log's id is not a name")
    offset = connection.execute(_OFFSET, {"run_device": found.id, "log": key.log_id}).one_or_none()
    last_seq, worker = (offset.last_seq, offset.worker_sha256) if offset else (0, "")
    return _Log(key, found.id, found.plan_sha256, last_seq, worker)


class _LogWriter:
    """Stores the new events of one log."""

    def __init__(self, connection: Connection, log: _Log) -> None:
        self._connection = connection
        self._log = log
        self._worker_sha256 = log.worker_sha256
        self._now = datetime.now(UTC)

    def store(self, events: Sequence[LogEvent]) -> Ingested:
        """Store what is still new: another controller may have been faster."""
        log = self._log
        new = [event for event in events if event.seq > log.last_seq]
        changes: list[TrialChange] = []
        if new and new[0].seq != log.last_seq + 1:
            raise BadLog(log.key, log.last_seq + 1, f"record {new[0].seq} arrived instead")
        for start in range(0, len(new), EVENTS_AT_ONCE):
            changes += self._store_some(new[start : start + EVENTS_AT_ONCE])
        last_seq = new[-1].seq if new else log.last_seq
        if new:
            self._advance(last_seq)
        return Ingested(log.key.run, log.key.device, Offset(log.key.log_id, last_seq), tuple(changes))

    def _store_some(self, events: Sequence[LogEvent]) -> list[TrialChange]:
        replay = self._load(sorted({key for event in events if (key := _trial_key(event))}))
        for event in events:
            try:
                self._apply(event, replay)
            except Unfit as error:
                raise BadLog(self._log.key, event.seq, str(error)) from None
        if replay.attempts:
            from orchestrator.store.attempt_rows import AttemptRows

            rows = AttemptRows(self._connection, self._log.key.log_id, self._worker_sha256, self._now)
            rows.write(replay.attempts)
        if replay.changed:
            self._connection.execute(
                _SET_TRIAL,
                [
                    {"trial_key": trial.id, "to": trial.state.value, "reason": trial.skip_reason}
                    for trial in replay.changed.values()
                ],
            )
        return replay.changes

    def _apply(self, event: LogEvent, replay: Replay) -> None:
        match event.body:
            case LogOpened():
                self._open(event.body)
            case RunnerStarted():
                change_device_state(self._connection, self._log.run_device, DeviceRunState.RUNNING)
            case RunFinished():
                self._finish(event.body)
            case body if _trial_key(event):
                replay.apply(event, body)  # type: ignore[arg-type]

    def _open(self, opened: LogOpened) -> None:
        if opened.plan_sha256 != self._log.plan_sha256:
            raise Unfit(f"it follows plan {opened.plan_sha256[:12]}, not the one of this run")
        self._worker_sha256 = opened.worker_sha256
        self._connection.execute(
            insert(t.event_offset),
            {
                "run_device_id": self._log.run_device,
                "log_id": self._log.key.log_id,
                "last_seq": 1,
                "worker_sha256": opened.worker_sha256,
            },
        )

    def _finish(self, finished: RunFinished) -> None:
        state, error, hint = _ENDINGS[finished.outcome]
        hint = hint and hint.format(run=self._log.key.run)
        change_device_state(self._connection, self._log.run_device, state, error, hint)

    def _advance(self, last_seq: int) -> None:
        self._connection.execute(
            update(t.event_offset)
            .where(
                t.event_offset.c.run_device_id == self._log.run_device, t.event_offset.c.log_id == self._log.key.log_id
            )
            .values(last_seq=last_seq)
        )
        self._connection.execute(
            update(t.run_device).where(t.run_device.c.id == self._log.run_device).values(log_id=self._log.key.log_id)
        )

    def _load(self, keys: Sequence[str]) -> Replay:
        """Return what the database knows of these trials and of their attempts that are still open in this log."""
        if not keys:
            return Replay(self._log.key.device, {})
        rows = self._connection.execute(_TRIALS, {"run_device": self._log.run_device, "keys": keys})
        trials = {row.key: KnownTrial(**{**row._mapping, "state": TrialState(row.state)}) for row in rows}
        by_id = {trial.id: trial for trial in trials.values()}
        parameters = {"run_device": self._log.run_device, "log": self._log.key.log_id, "ids": list(by_id)}
        return Replay(self._log.key.device, trials, self._open_attempts(by_id, parameters))

    def _open_attempts(self, by_id: dict[int, KnownTrial], parameters: dict[str, object]) -> Iterator[Attempt]:
        for row in self._connection.execute(_OPEN_ATTEMPTS, parameters):
            yield Attempt(by_id[row.trial_id], row.log_attempt, id=row.id, conditions_before=row.conditions_before)


_ENDINGS: dict[str, tuple[DeviceRunState, str | None, str | None]] = {
    RunOutcome.COMPLETE: (DeviceRunState.COMPLETE, None, None),
    RunOutcome.CANCELLED: (DeviceRunState.CANCELLED, None, None),
    RunOutcome.DISK_FULL: (
        DeviceRunState.STOPPED,
        "the device's disk is full",
        "free some space there, then: benchfleet runs resume {run}",
    ),
}

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
        t.trial.c.id,
        t.trial.c.key,
        t.job.c.key.label("job"),
        t.job.c.label,
        t.trial.c.kind,
        t.trial.c.state,
        t.trial.c.skip_reason,
        _LAST_ORDINAL,
        t.runtime.c.sha256.label("runtime_sha256"),
        t.model_variant.c.sha256.label("model_sha256"),
    )
    .join(t.job, t.job.c.id == t.trial.c.job_id)
    .join(t.runtime, t.runtime.c.id == t.job.c.runtime_id)
    .join(t.model_variant, t.model_variant.c.id == t.job.c.variant_id)
    .where(t.trial.c.run_device_id == bindparam("run_device"), t.trial.c.key.in_(bindparam("keys", expanding=True)))
)
_OPEN_ATTEMPTS = (
    select(t.attempt.c.id, t.attempt.c.trial_id, t.attempt.c.log_attempt, t.attempt.c.conditions_before)
    .where(
        t.attempt.c.trial_id.in_(bindparam("ids", expanding=True)),
        t.attempt.c.log_id == bindparam("log"),
        t.attempt.c.finished_seq.is_(None),
    )
    .order_by(t.attempt.c.ordinal)
)


def _trial_key(event: LogEvent) -> str | None:
    return getattr(event.body, "trial", None)
