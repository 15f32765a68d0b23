"""Register daemons, and grant and end claims of submissions, by the database's own clock. docs/decisions/0053.

A claim is a number on the submission's row. To claim is one UPDATE that names the number seen: of two daemons one finds
another number by then. A daemon ends its claim in the same way, so that a claim that was lost writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, case, insert, or_, select, update

from orchestrator.domain.errors import ClaimLost
from orchestrator.domain.queue_order import SHARE_OVER
from orchestrator.domain.submission import Claim, DaemonRecord, SubmissionState, person_of
from orchestrator.domain.window import Window
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.database_clock import database_time
from orchestrator.store.sql.engine import Database
from orchestrator.store.values.hygiene import clean_text

_TEXT_MAX = 2_000


class DaemonTable:
    """Play the role `Daemons`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin_daemon(
        self, holder: str, controller: str, devices: Sequence[str], lasts_s: float, windows: Sequence[Window] = ()
    ) -> int:
        """Register a daemon for so many seconds, and return the id."""
        with self._database.write() as connection:
            now = database_time(connection)
            row = {
                "holder": holder,
                "controller": controller,
                "devices": sorted(devices),
                "windows": [one.to_json() for one in windows] or None,
                "began_at": now,
                "expires_at": now + timedelta(seconds=lasts_s),
            }
            return int(connection.execute(insert(t.daemon).returning(t.daemon.c.id), row).scalar_one())

    def renew_daemon(self, daemon: int, devices: Sequence[str], lasts_s: float, windows: Sequence[Window] = ()) -> None:
        """Let a daemon live for so many further seconds, with the devices of its present inventory, and its windows."""
        with self._database.write() as connection:
            expires = database_time(connection) + timedelta(seconds=lasts_s)
            told = {"names": sorted(devices), "hours": [one.to_json() for one in windows] or None}
            connection.execute(_RENEW, {"daemon": daemon, "to": expires, **told})

    def end_daemon(self, daemon: int) -> None:
        """Record the end of a daemon. What it has claimed may be claimed at once."""
        with self._database.write() as connection:
            connection.execute(_END, {"daemon": daemon, "now": database_time(connection)})

    def live_daemons(self) -> Sequence[DaemonRecord]:
        """Return the daemons that live, the oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(_LIVE, {"now": database_time(connection)})
            return [
                DaemonRecord(
                    *(row.id, row.holder, row.controller, row.began_at, tuple(row.devices)),
                    tuple(map(Window.from_json, row.windows or ())),
                )
                for row in rows
            ]

    def claim(self, submission: int, seen: int, daemon: int) -> Claim | None:
        """Claim a submission that waits, or whose daemon has ended or died. Return None if another daemon was quicker.

        `seen` is the number of claims when the submission was read.
        """
        with self._database.write() as connection:
            now = database_time(connection)
            values = {"submission": submission, "seen": seen, "to": seen + 1, "daemon": daemon, "now": now}
            if not connection.execute(_CLAIM, values).rowcount:
                return None
            return Claim(submission, daemon, seen + 1)

    def wants_stop(self, claim: Claim) -> bool:
        """Return True if a person wants the run ended. Raise ClaimLost if the claim was lost."""
        with self._database.read() as connection:
            found = connection.execute(_HELD, _key(claim)).one_or_none()
            if found is None:
                raise _lost(connection, claim)
            return bool(found.stops)

    def finish(self, claim: Claim, state: SubmissionState, error: str | None = None, hint: str | None = None) -> None:
        """Record the end of a submission. Raise ClaimLost, with nothing written, if the claim was lost."""
        values = {"to": state.value, "said": _bounded(error), "remedy": _bounded(hint)}
        with self._database.write() as connection:
            moment = {"now": database_time(connection)}
            if not connection.execute(_FINISH, {**_key(claim), **values, **moment}).rowcount:
                raise _lost(connection, claim)

    def give_back(self, claim: Claim) -> None:
        """Let a submission wait for the next daemon, unfinished. Raise ClaimLost as `finish` does."""
        with self._database.write() as connection:
            if not connection.execute(_GIVE_BACK, _key(claim)).rowcount:
                raise _lost(connection, claim)

    def give_way(self, claim: Claim, to: str) -> None:
        """Record that a run is going to give its devices to another one. Raise ClaimLost as `finish` does."""
        with self._database.write() as connection:
            words = {**_key(claim), "said": _bounded(f"gave way to {to}")}
            if not connection.execute(_GIVE_WAY, words).rowcount:
                raise _lost(connection, claim)

    def shares(self) -> Mapping[str, float]:
        """Return by person for how many seconds the person's runs had devices over the last day, several at a time."""
        with self._database.read() as connection:
            now = database_time(connection)
            since = now - SHARE_OVER
            found: dict[str, float] = {}
            for row in connection.execute(_LEASES_SINCE, {"since": since}):
                end = min(row.ended_at or row.expires_at, now)
                seconds = max(0.0, (end - max(row.granted_at, since)).total_seconds())
                person = person_of(row.holder)
                found[person] = found.get(person, 0.0) + seconds
            return found

    def now(self) -> datetime:
        """Return the present time of the database's clock."""
        with self._database.read() as connection:
            return database_time(connection)


def _bounded(text: str | None) -> str | None:
    return None if text is None else clean_text(text, _TEXT_MAX)


def _key(claim: Claim) -> dict[str, Any]:
    return {"submission": claim.submission, "number": claim.number, "daemon": claim.daemon}


def _lost(connection: Connection, claim: Claim) -> ClaimLost:
    row = connection.execute(_OWNER, {"submission": claim.submission}).one()
    return ClaimLost(
        f"run {row.run_id} was claimed by {row.holder} ({row.controller}) meanwhile"
        if row.claim != claim.number
        else f"run {row.run_id} is {row.state} by now",
        "it goes on there: benchfleet queue list",
    )


_RENEW = (
    update(t.daemon)
    .where(t.daemon.c.id == bindparam("daemon"))
    .values(
        expires_at=bindparam("to"),
        devices=bindparam("names", type_=t.daemon.c.devices.type),
        windows=bindparam("hours", type_=t.daemon.c.windows.type),
    )
)
_END = update(t.daemon).where(t.daemon.c.id == bindparam("daemon")).values(ended_at=bindparam("now"))
_LIVE = (
    select(t.daemon)
    .where(t.daemon.c.ended_at.is_(None), t.daemon.c.expires_at > bindparam("now"))
    .order_by(t.daemon.c.id)
)
# A daemon may have lost the database in the middle of a run, and takes its own up again.
_LEFT = select(t.daemon.c.id).where(
    or_(
        t.daemon.c.ended_at.is_not(None),
        t.daemon.c.expires_at <= bindparam("now"),
        t.daemon.c.id == bindparam("daemon"),
    )
)
_CLAIM = (
    update(t.submission)
    .where(
        t.submission.c.id == bindparam("submission"),
        t.submission.c.claim == bindparam("seen"),
        or_(
            t.submission.c.state == SubmissionState.WAITING.value,
            (t.submission.c.state == SubmissionState.RUNNING.value) & t.submission.c.daemon_id.in_(_LEFT),
        ),
    )
    .values(
        claim=bindparam("to"),
        # A claim that was given back leaves a submission that waits: its daemon was not ended by the run.
        claims_abandoned=case(
            (t.submission.c.state == SubmissionState.RUNNING.value, t.submission.c.claims_abandoned + 1), else_=0
        ),
        daemon_id=bindparam("daemon"),
        claimed_at=bindparam("now"),
        state=SubmissionState.RUNNING.value,
    )
)
_OF_CLAIM = (
    t.submission.c.id == bindparam("submission"),
    t.submission.c.claim == bindparam("number"),
    t.submission.c.daemon_id == bindparam("daemon"),
    t.submission.c.state == SubmissionState.RUNNING.value,
)
_HELD = select(t.submission.c.stops).where(*_OF_CLAIM)
_FINISH = (
    update(t.submission)
    .where(*_OF_CLAIM)
    .values(state=bindparam("to"), error=bindparam("said"), hint=bindparam("remedy"), ended_at=bindparam("now"))
)
_GIVE_BACK = update(t.submission).where(*_OF_CLAIM).values(state=SubmissionState.WAITING.value)
_GIVE_WAY = (
    update(t.submission)
    .where(*_OF_CLAIM)
    # Who has cancelled the run meanwhile stays on record.
    .values(has_yielded=True, error=case((t.submission.c.stops, t.submission.c.error), else_=bindparam("said")))
)
_OWNER = (
    select(t.submission.c.run_id, t.submission.c.claim, t.submission.c.state, t.daemon.c.holder, t.daemon.c.controller)
    .outerjoin(t.daemon, t.daemon.c.id == t.submission.c.daemon_id)
    .where(t.submission.c.id == bindparam("submission"))
)
_LEASES_SINCE = select(t.lease.c.holder, t.lease.c.granted_at, t.lease.c.ended_at, t.lease.c.expires_at).where(
    t.lease.c.run_id.is_not(None),
    t.lease.c.granted_at.is_not(None),
    t.lease.c.exclusive,
    or_(t.lease.c.ended_at > bindparam("since"), t.lease.c.ended_at.is_(None)),
)
