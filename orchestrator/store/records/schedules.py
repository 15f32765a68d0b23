"""Keep schedules, and let each firing submit one run. docs/decisions/0061 explains the rules.

A change names the edition that was seen, as a claim names its number: of two daemons that fire, one finds another
edition by then, and so does a daemon that fires while a person pauses the schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from orchestrator.domain.errors import ConfigError, StoreError
from orchestrator.domain.schedule import Firing, Missed, Moments, NewSchedule, Overlap, Rhythm, Schedule
from orchestrator.domain.submission import OPEN, NewSubmission, ParcelFile
from orchestrator.specs.cron import next_moments
from orchestrator.store.records.levels import REASON_MAX
from orchestrator.store.records.submissions import put_submission, words_of
from orchestrator.store.records.vault import missing_blobs
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.database_clock import database_time
from orchestrator.store.sql.engine import Database
from orchestrator.store.values.hygiene import clean_text

_LIST = "benchfleet schedule list"


class ScheduleTable:
    """Play the role `Schedules`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_schedule(self, new: NewSchedule, *, replaces: bool = False) -> Schedule:
        """Add a schedule, in one transaction, or replace the one of that name."""
        with self._database.write() as connection:
            if missing_blobs(connection, {file.sha256 for file in new.files}):
                raise StoreError("a content of the schedule is gone from the database", "give the command again")
            now = database_time(connection)
            # Locked: a daemon that fires meanwhile would count up to the same edition, of another rhythm.
            found = connection.execute(_NAMED.with_for_update(), {"schedule": new.name}).one_or_none()
            if found is not None and not replaces:
                raise ConfigError(
                    f"there is a schedule {new.name} already, of {found.holder}", "--replace changes it, --name another"
                )
            values = _columns(new) | {"added_at": now, "due_at": now, "fires_at": now, "edition": 1}
            if found is None:
                key: int = connection.execute(insert(t.schedule).returning(t.schedule.c.id), values).scalar_one()
            else:
                key, values["edition"] = found.id, found.edition + 1
                connection.execute(delete(t.schedule_file).where(t.schedule_file.c.schedule_id == key))
            # The delay is drawn by the id, which is known only now.
            values |= _moments(next_moments(key, new.rhythm, now))
            connection.execute(update(t.schedule).where(t.schedule.c.id == key).values(values))
            files = [{"schedule_id": key, "path": file.path, "sha256": file.sha256} for file in new.files]
            connection.execute(insert(t.schedule_file), files)
            return _read(connection.execute(_NAMED, {"schedule": new.name}).one())

    def schedules(self) -> Sequence[Schedule]:
        """Return all schedules, by name."""
        with self._database.read() as connection:
            return [_read(row) for row in connection.execute(_ALL)]

    def find_schedule(self, name: str) -> Schedule | None:
        """Return a schedule by name."""
        with self._database.read() as connection:
            row = connection.execute(_NAMED, {"schedule": name}).one_or_none()
            return None if row is None else _read(row)

    def due_schedules(self) -> Sequence[Schedule]:
        """Return the schedules that are to fire by now, the earliest first."""
        with self._database.read() as connection:
            return [_read(row) for row in connection.execute(_DUE, {"now": database_time(connection)})]

    def fire(self, firing: Firing) -> str | None:
        """Carry one firing out, in one transaction. Return what the firing made, in words, or None for a lost race."""
        with self._database.write() as connection:
            now = database_time(connection)
            key = {"schedule": firing.schedule, "seen": firing.edition, "to": firing.edition + 1, "now": now}
            if not connection.execute(_FIRE, key | _moments(firing.then, "next_")).rowcount:
                return None
            row = connection.execute(_OF_ID, {"schedule": firing.schedule}).one()
            made = clean_text(firing.why or _submit(connection, row, firing), REASON_MAX)
            connection.execute(_SET_LAST, {"schedule": firing.schedule, "said": made})
            return made

    def pause_schedule(self, name: str) -> Schedule:
        """Keep a schedule from firing. Raise ConfigError for an unknown or paused one."""

        def pause(found: Schedule) -> dict[str, Any]:
            if found.is_paused:
                raise ConfigError(f"schedule {name} is paused already", f"benchfleet schedule resume {name}")
            return {"is_paused": True}

        with self._database.write() as connection:
            return _change(connection, name, pause)

    def resume_schedule(self, name: str) -> Schedule:
        """Let a paused schedule fire again. What fell into the pause is not made up for."""
        with self._database.write() as connection:
            now = database_time(connection)

            def resume(found: Schedule) -> dict[str, Any]:
                if not found.is_paused:
                    raise ConfigError(f"schedule {name} is not paused", _LIST)
                # A moment that has not come stays: a clock that was set back must not bring a past one again.
                still = Moments(found.due_at, found.fires_at)
                return {
                    "is_paused": False,
                    **_moments(still if found.fires_at > now else next_moments(found.id, found.rhythm, now)),
                }

            return _change(connection, name, resume)

    def remove_schedule(self, name: str) -> Schedule:
        """Remove a schedule. Its submissions stay. Raise ConfigError for an unknown one."""
        with self._database.write() as connection:
            found = _read(_require(connection, name))
            connection.execute(delete(t.schedule_file).where(t.schedule_file.c.schedule_id == found.id))
            connection.execute(delete(t.schedule).where(t.schedule.c.id == found.id))
            return found


def _submit(connection: Connection, row: Row[Any], firing: Firing) -> str:
    """Submit the run of a firing, and return what became of it in words."""
    earlier = connection.execute(_OPEN_RUN, {"name": row.name}).scalar()
    if earlier is not None and row.overlap == Overlap.SKIP.value:
        return f"skipped: {earlier} of before is not over"
    files = tuple(ParcelFile(*found) for found in connection.execute(_FILES, {"schedule": row.id}))
    if missing_blobs(connection, {file.sha256 for file in files}):
        # The schedule goes on: a person is told by `schedule list`, and may send the content again.
        return f"failed: a content is gone from the database; add {row.name} again with --replace"
    assert firing.run is not None
    put_submission(
        connection,
        NewSubmission(
            run=firing.run,
            holder=row.holder,
            sweep=row.sweep,
            source=row.source,
            select=row.selector,
            priority=row.priority,
            files=files,
            words=words_of(row),
            # Its newest run knows its devices and times better than the day on which the schedule was added.
            device_s=connection.execute(_EXPECTED, {"name": row.name, "since": row.added_at}).scalar() or row.device_s,
            settings=row.settings or {},
            schedule=row.name,
            window=row.time_window,
        ),
    )
    return firing.run


def _change(connection: Connection, name: str, values: Callable[[Schedule], dict[str, Any]]) -> Schedule:
    found = _read(_require(connection, name))
    changed = values(found) | {"edition": found.edition + 1}
    connection.execute(update(t.schedule).where(t.schedule.c.id == found.id).values(changed))
    return _read(_require(connection, name))


def _require(connection: Connection, name: str) -> Row[Any]:
    row = connection.execute(_NAMED.with_for_update(), {"schedule": name}).one_or_none()
    if row is None:
        raise ConfigError(f"no schedule is called {name!r}", _LIST)
    return row


def _moments(moments: Moments, prefix: str = "") -> dict[str, Any]:
    return {f"{prefix}due_at": moments.due_at, f"{prefix}fires_at": moments.fires_at}


def _columns(new: NewSchedule) -> dict[str, Any]:
    rhythm, words = new.rhythm, new.words
    return {
        "name": new.name,
        "holder": new.holder,
        "cron": rhythm.cron,
        "zone": rhythm.zone,
        "jitter_s": rhythm.jitter_s,
        "overlap": rhythm.overlap.value,
        "missed": rhythm.missed.value,
        "sweep": new.sweep,
        "source": new.source,
        "selector": new.select,
        "priority": new.priority,
        "note": None if words.note is None else clean_text(words.note, REASON_MAX),
        "tags": dict(words.tags),
        "git_commit": words.commit and words.commit.sha,
        "git_dirty": words.commit and words.commit.dirty,
        "settings": dict(new.settings) or None,
        "time_window": new.window,
        "device_s": None if new.device_s is None else dict(new.device_s),
        "is_paused": False,
    }


def _read(row: Row[Any]) -> Schedule:
    return Schedule(
        id=row.id,
        name=row.name,
        holder=row.holder,
        rhythm=Rhythm(row.cron, row.zone, row.jitter_s, Overlap(row.overlap), Missed(row.missed)),
        sweep=row.sweep,
        source=row.source,
        select=row.selector,
        priority=row.priority,
        words=words_of(row),
        added_at=row.added_at,
        edition=row.edition,
        is_paused=row.is_paused,
        due_at=row.due_at,
        fires_at=row.fires_at,
        fired_at=row.fired_at,
        last=row.last,
        settings=row.settings or {},
        window=row.time_window,
    )


_ALL = select(t.schedule).order_by(t.schedule.c.name)
_NAMED = select(t.schedule).where(t.schedule.c.name == bindparam("schedule"))
_OF_ID = select(t.schedule).where(t.schedule.c.id == bindparam("schedule"))
_DUE = (
    select(t.schedule)
    .where(t.schedule.c.is_paused.is_(False), t.schedule.c.fires_at <= bindparam("now"))
    .order_by(t.schedule.c.fires_at, t.schedule.c.id)
)
_FIRE = (
    update(t.schedule)
    .where(
        t.schedule.c.id == bindparam("schedule"),
        t.schedule.c.edition == bindparam("seen"),
        t.schedule.c.is_paused.is_(False),
        # The clock may have been set back since the schedule was read.
        t.schedule.c.fires_at <= bindparam("now"),
    )
    .values(
        edition=bindparam("to"),
        fired_at=bindparam("now"),
        due_at=bindparam("next_due_at"),
        fires_at=bindparam("next_fires_at"),
    )
)
_SET_LAST = update(t.schedule).where(t.schedule.c.id == bindparam("schedule")).values(last=bindparam("said"))
_OF_NAME = t.submission.c.schedule == bindparam("name")
_OPEN_RUN = (
    select(t.submission.c.run_id)
    .where(_OF_NAME, t.submission.c.state.in_([state.value for state in OPEN]))
    .order_by(t.submission.c.id.desc())
    .limit(1)
)
_EXPECTED = (
    select(t.submission.c.device_s)
    # Before, another sweep may have had the name.
    .where(_OF_NAME, t.submission.c.submitted_at > bindparam("since"))
    .order_by(t.submission.c.id.desc())
    .limit(1)
)
_FILES = (
    select(t.schedule_file.c.path, t.schedule_file.c.sha256, t.stored_blob.c.size_bytes)
    .join(t.stored_blob, t.stored_blob.c.sha256 == t.schedule_file.c.sha256)
    .where(t.schedule_file.c.schedule_id == bindparam("schedule"))
    .order_by(t.schedule_file.c.path)
)
