"""Read from the database, and from the devices, what a verdict on the service rests on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from tests.chaos.evidence import Evidence
from tests.endurance.checker import Books, Moments, Open, Told, Wanted
from tests.endurance.room import Room
from tests.endurance.timetable import DEVICES, TRIALS_S, Kind, Timetable
from tests.endurance.watcher import Watcher

_SUBMISSIONS = """\
SELECT s.run_id, COALESCE(s.name, s.sweep), split_part(s.holder, '@', 1), s.state, s.error, s.schedule, s.submitted_at,
r.started_at FROM submission s LEFT JOIN run r ON r.id = s.run_id ORDER BY s.id"""
_TOLD = ("run", "name", "person", "state", "error", "schedule", "submitted_at", "begun_at")
_COUNTED = """\
SELECT r.run_id, d.name, COUNT(a.id) FROM run_device r JOIN device d ON d.id = r.device_id
LEFT JOIN trial t ON t.run_device_id = r.id AND t.kind = 'measure'
LEFT JOIN attempt a ON a.trial_id = t.id AND a.counted
GROUP BY r.run_id, d.name"""
_SHARES = """\
SELECT split_part(holder, '@', 1),
SUM(EXTRACT(EPOCH FROM LEAST(COALESCE(ended_at, expires_at), now()) - granted_at))
FROM lease WHERE run_id IS NOT NULL AND granted_at IS NOT NULL AND exclusive GROUP BY 1"""
_SCHEDULES = "SELECT name, added_at, edition FROM schedule"
_PAUSED = 2
"""The first edition is the addition, and the last one the pause."""


def keep_books(
    room: Room,
    timetable: Timetable,
    wanted: Sequence[Wanted],
    watcher: Watcher,
    paused_at: datetime,
    shares: dict[str, Any],
    evidence: Evidence,
) -> Books:
    """Gather everything; the lab is quiet."""
    counted: dict[str, dict[str, int]] = defaultdict(dict)
    for run, device, count in room.database.rows(_COUNTED):
        counted[run][device] = count
    rows = room.database.rows(_SUBMISSIONS)
    told = [Told(**dict(zip(_TOLD, row, strict=True)), counted=counted.get(row[0], {})) for row in rows]
    people = {one.run: one.person for one in told}
    seconds: dict[str, float] = defaultdict(float)
    for seen in evidence.sightings:
        seconds[people[seen.run]] += (seen.last_ns - seen.begin_ns) / 1e9
    return Books(
        wanted=wanted,
        told=told,
        fired=watcher.firings,
        moments=_moments(room, timetable, paused_at),
        windows=[
            Open(
                window.name,
                room.moment(window.opens_min),
                room.moment(window.closes_min),
                selected(window.select) if window.select else (),
                window.person,
            )
            for window in timetable.windows
        ],
        shares_told=shares["share_s"],
        shares_leased={person: float(seconds_) for person, seconds_ in room.database.rows(_SHARES)},
        seconds_of_trials=seconds,
    )


def _moments(room: Room, timetable: Timetable, paused_at: datetime) -> list[Moments]:
    rows = {name: (added_at, edition) for name, added_at, edition in room.database.rows(_SCHEDULES)}
    return [
        Moments(
            one.name,
            minute_moments(one.first_min, one.every_min, rows[one.name][0], paused_at),
            rows[one.name][1] - _PAUSED,
            selected(one.select),
            len(TRIALS_S[Kind.REGULAR]),
        )
        for one in timetable.regulars
    ]


def selected(select: str) -> tuple[str, ...]:
    """Return the devices that a selector of the timetable means."""
    if select == "all":
        return DEVICES
    if select.startswith("site="):
        return tuple(name for name in DEVICES if name.startswith(select.removeprefix("site=") + "-"))
    return tuple(name.strip() for name in select.split(" or "))


def minute_moments(first_min: int, every_min: int, after: datetime, until: datetime) -> list[datetime]:
    """Return the moments of a schedule behind `after`, up to `until`: minutes of the hour alone."""
    moment = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    found = []
    while moment <= until:
        if moment.minute >= first_min and (moment.minute - first_min) % every_min == 0:
            found.append(moment)
        moment += timedelta(minutes=1)
    return found
