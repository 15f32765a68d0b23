"""Put runs into the queue, read the queue, and change what waits in it. docs/decisions/0053 explains the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, func, insert, select, update

from orchestrator.domain.errors import ConfigError, StoreError
from orchestrator.domain.run_words import Commit, NewWords
from orchestrator.domain.submission import OPEN, NewSubmission, ParcelFile, Submission, SubmissionState
from orchestrator.store.records.levels import REASON_MAX
from orchestrator.store.records.trial_times import last_used, left_out, overheads_s, trial_seconds
from orchestrator.store.records.vault import missing_blobs
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.database_clock import database_time
from orchestrator.store.sql.engine import Database
from orchestrator.store.values.hygiene import clean_text

_AMBIGUOUS_SHOWN = 5
_OPEN = tuple(state.value for state in OPEN)


class SubmissionTable:
    """Play the role `Submissions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def submit(self, new: NewSubmission) -> Submission:
        """Put a run into the queue, in one transaction. Raise StoreError if a content is missing by now."""
        with self._database.write() as connection:
            if missing_blobs(connection, {file.sha256 for file in new.files}):
                raise StoreError("a content of the submission is gone from the database", "give the command again")
            found = put_submission(connection, new)
            return _read(connection, t.submission.c.id == found)[0]

    def open_submissions(self) -> Sequence[Submission]:
        """Return all submissions that are not over, the oldest first."""
        with self._database.read() as connection:
            return _read(connection, t.submission.c.state.in_(_OPEN))

    def newest_over(self, limit: int) -> Sequence[Submission]:
        """Return the submissions that were over last, the newest first."""
        with self._database.read() as connection:
            ended = select(t.submission.c.id).where(t.submission.c.ended_at.is_not(None))
            newest = ended.order_by(t.submission.c.ended_at.desc(), t.submission.c.id.desc()).limit(limit)
            found = _read(connection, t.submission.c.id.in_(newest))
        return sorted(found, key=lambda one: (one.ended_at, one.id), reverse=True)

    def find_submission(self, run: str) -> Submission | None:
        """Return a submission by the run's id, name or unique beginning of the id; open ones before others."""
        # An empty text is the beginning of every id.
        if not run:
            return None
        column = t.submission.c.run_id
        meanings = (
            column == run,
            and_(t.submission.c.name == run, t.submission.c.state.in_(_OPEN)),
            # Not LIKE: there a % or _ in the given text would match anything.
            func.substr(column, 1, len(run)) == run,
        )
        with self._database.read() as connection:
            found = next(filter(None, (_read(connection, one, _AMBIGUOUS_SHOWN) for one in meanings)), [])
        if len(found) > 1:
            names = ", ".join(one.run for one in found)
            raise ConfigError(f"several submissions are called {run!r}: {names}", "give more of the run's id")
        return found[0] if found else None

    def files_of(self, submission: int) -> Sequence[ParcelFile]:
        """Return the files of a submission, in the order of paths."""
        with self._database.read() as connection:
            return [ParcelFile(*row) for row in connection.execute(_FILES, {"submission": submission})]

    def trial_seconds(self, devices: Sequence[str], models: Sequence[str]) -> Mapping[tuple[str, ...], float]:
        """Return the mean seconds of a counted trial, by device, model, variant, runtime and settings."""
        with self._database.read() as connection:
            return trial_seconds(connection, devices, models)

    def overheads_s(self, devices: Sequence[str]) -> Mapping[str, float]:
        """Return by device the seconds per attempt, beyond trials, for which the newest run there had the device."""
        with self._database.read() as connection:
            return overheads_s(connection, devices)

    def left_out(self, devices: Sequence[str]) -> Mapping[str, frozenset[str]]:
        """Return by device the labels of cells that a plan of the device has left out."""
        with self._database.read() as connection:
            return left_out(connection, devices)

    def last_used(self, devices: Sequence[str]) -> Mapping[str, datetime]:
        """Return when the newest run of each device began."""
        with self._database.read() as connection:
            return last_used(connection, devices)

    def expect(self, device_s: Mapping[int, Mapping[str, float | None]]) -> None:
        """Record the devices of submissions by the inventory of a daemon, with the expected seconds."""
        if device_s:
            with self._database.write() as connection:
                rows = [{"submission": key, "to": dict(value)} for key, value in sorted(device_s.items())]
                connection.execute(_SET_EXPECTED, rows)

    def set_priority(self, submission: int, priority: int) -> Submission:
        """Change the priority. Raise ConfigError for a submission that runs or is over."""
        return self._change(submission, {"priority": priority}, (SubmissionState.WAITING, SubmissionState.HELD))

    def move_to_end(self, submission: int, *, first: bool) -> Submission:
        """Move a submission before, or behind, all others of the person. Raise ConfigError as `set_priority` does."""
        rank = t.submission.c.rank
        ranks = select(func.min(rank) - 1 if first else func.max(rank) + 1)
        to = ranks.where(t.submission.c.state.in_(_OPEN)).scalar_subquery()
        return self._change(submission, {"rank": to}, (SubmissionState.WAITING, SubmissionState.HELD))

    def hold(self, submission: int, reason: str | None) -> Submission:
        """Keep a submission from beginning until a person releases it."""
        why = None if reason is None else clean_text(reason, REASON_MAX)
        values = {"state": SubmissionState.HELD.value, "error": why}
        return self._change(submission, values, (SubmissionState.WAITING, SubmissionState.HELD))

    def release(self, submission: int) -> Submission:
        """Let a held submission wait again."""
        values = {"state": SubmissionState.WAITING.value, "error": None}
        return self._change(submission, values, (SubmissionState.HELD,))

    def cancel(self, submission: int, who: str) -> Submission:
        """Cancel a submission at once, or ask the daemon to end a submission that runs."""
        said = f"cancelled by {clean_text(who, REASON_MAX)}"
        with self._database.write() as connection:
            found = _lock(connection, submission)
            if found.state not in _OPEN:
                raise ConfigError(
                    f"{found.run_id} is {found.state} already", "benchfleet queue list --over 20 shows it"
                )
            if found.claim:
                # The run may go on at its devices: a daemon has to end it there.
                is_held = found.state == SubmissionState.HELD.value
                state = SubmissionState.WAITING.value if is_held else found.state
                values: dict[str, Any] = {"stops": True, "error": said, "state": state}
            else:
                over = {"state": SubmissionState.CANCELLED.value, "ended_at": database_time(connection)}
                values = {**over, "error": said}
            connection.execute(update(t.submission).where(t.submission.c.id == submission).values(values))
            return _read(connection, t.submission.c.id == submission)[0]

    def _change(self, submission: int, values: Mapping[str, Any], states: Sequence[SubmissionState]) -> Submission:
        with self._database.write() as connection:
            found = _lock(connection, submission)
            if found.state not in states:
                raise ConfigError(
                    f"{found.run_id} is {found.state}, not {' or '.join(states)}",
                    "benchfleet queue list shows the queue",
                )
            connection.execute(update(t.submission).where(t.submission.c.id == submission).values(dict(values)))
            return _read(connection, t.submission.c.id == submission)[0]


def put_submission(connection: Connection, new: NewSubmission) -> int:
    """Write a submission whose contents are there, and return the id."""
    now = database_time(connection)
    found: int = connection.execute(_INSERT, _columns(new) | {"submitted_at": now}).scalar_one()
    # The order of submissions, until a person moves one.
    connection.execute(_SET_RANK, {"submission": found, "to": found})
    files = [{"submission_id": found, "path": file.path, "sha256": file.sha256} for file in new.files]
    connection.execute(insert(t.submission_file), files)
    return found


def words_of(row: Row[Any]) -> NewWords:
    """Return the words that a run begins with, from the columns that hold them."""
    commit = None if row.git_commit is None else Commit(row.git_commit, row.git_dirty)
    return NewWords(row.holder, row.name, row.note, row.tags, commit)


def _columns(new: NewSubmission) -> dict[str, Any]:
    words = new.words
    return {
        "run_id": new.run,
        "holder": new.holder,
        "sweep": new.sweep,
        "source": new.source,
        "selector": new.select,
        "priority": new.priority,
        "rank": 0,
        "state": SubmissionState.WAITING.value,
        "not_before": new.not_before,
        "name": words.name,
        "note": None if words.note is None else clean_text(words.note, REASON_MAX),
        "tags": dict(words.tags),
        "git_commit": words.commit and words.commit.sha,
        "git_dirty": words.commit and words.commit.dirty,
        "settings": dict(new.settings) or None,
        "device_s": None if new.device_s is None else dict(new.device_s),
        "claim": 0,
        "schedule": new.schedule,
        "time_window": new.window,
    }


def _lock(connection: Connection, submission: int) -> Row[Any]:
    return connection.execute(_LOCK, {"submission": submission}).one()


def _read(connection: Connection, condition: ColumnElement[bool], limit: int | None = None) -> list[Submission]:
    now = database_time(connection)
    rows = connection.execute(_SUBMISSIONS.where(condition).order_by(t.submission.c.id).limit(limit)).all()
    return [
        Submission(
            id=row.id,
            run=row.run_id,
            holder=row.holder,
            sweep=row.sweep,
            source=row.source,
            select=row.selector,
            priority=row.priority,
            rank=row.rank,
            state=SubmissionState(row.state),
            submitted_at=row.submitted_at,
            claim=row.claim,
            claims_abandoned=row.claims_abandoned,
            not_before=row.not_before,
            words=words_of(row),
            device_s=row.device_s,
            daemon=None if row.controller is None else f"{row.daemon_holder} ({row.controller})",
            is_claimed=row.state == SubmissionState.RUNNING.value and row.daemon_ended is None and row.expires_at > now,
            claimed_at=row.claimed_at,
            ended_at=row.ended_at,
            error=row.error,
            hint=row.hint,
            stops=row.stops,
            has_yielded=row.has_yielded,
            daemon_id=row.daemon_id,
            settings=row.settings or {},
            schedule=row.schedule,
            window=row.time_window,
        )
        for row in rows
    ]


_SUBMISSIONS = select(
    t.submission,
    t.daemon.c.holder.label("daemon_holder"),
    t.daemon.c.controller,
    t.daemon.c.expires_at,
    t.daemon.c.ended_at.label("daemon_ended"),
).outerjoin(t.daemon, t.daemon.c.id == t.submission.c.daemon_id)
_INSERT = insert(t.submission).returning(t.submission.c.id)
_LOCK = select(t.submission).where(t.submission.c.id == bindparam("submission")).with_for_update()
_FILES = (
    select(t.submission_file.c.path, t.submission_file.c.sha256, t.stored_blob.c.size_bytes)
    .join(t.stored_blob, t.stored_blob.c.sha256 == t.submission_file.c.sha256)
    .where(t.submission_file.c.submission_id == bindparam("submission"))
    .order_by(t.submission_file.c.path)
)
_OF_ID = update(t.submission).where(t.submission.c.id == bindparam("submission"))
_SET_RANK = _OF_ID.values(rank=bindparam("to"))
_SET_EXPECTED = _OF_ID.values(device_s=bindparam("to", type_=t.submission.c.device_s.type))
