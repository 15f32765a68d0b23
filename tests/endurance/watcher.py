"""Follow the queue from outside while it is worked: by rows of the database alone, without the project's own code."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.chaos.databases import PostgresDatabase
from tests.endurance.timeline import Timeline

_LOOK_S = 1.0
_SUBMISSIONS = "SELECT run_id, COALESCE(name, sweep), state, claim, has_yielded, error FROM submission ORDER BY id"
_SCHEDULES = "SELECT name, edition, fired_at, last FROM schedule ORDER BY name"


@dataclass(frozen=True, slots=True)
class Fired:
    """One firing of a schedule as it was seen: `made` is the run, or why there is none."""

    schedule: str
    edition: int
    at: datetime
    made: str


@dataclass
class Watcher:
    """Tell what changes, each second, in a thread of its own. `firings` and `gave_way` are what was seen."""

    database: PostgresDatabase
    timeline: Timeline
    firings: list[Fired] = field(default_factory=list)
    gave_way: set[str] = field(default_factory=set)
    _seen: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    _editions: dict[str, int] = field(default_factory=dict)
    _is_away: bool = False
    _over: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> None:
        """Start to watch."""
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Look once more, and end."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        import psycopg

        while not self._over.wait(_LOOK_S):
            with suppress(psycopg.OperationalError):  # the server is away: it is asked again
                self._look()
        self._look()

    def _look(self) -> None:
        for row in self.database.rows(_SUBMISSIONS):
            self._compare(row)
        for name, edition, at, made in self.database.rows(_SCHEDULES):
            known = self._editions.get(name, 1)
            # A pause is another edition, too.
            is_new = at is not None and all((one.schedule, one.at) != (name, at) for one in self.firings)
            if edition != known and is_new:
                self.firings.append(Fired(name, edition, at, made))
                self.timeline.tell(f"schedule {name} fired at {at:%H:%M:%S}: {made}")
            self._editions[name] = edition

    def _compare(self, row: Sequence[Any]) -> None:
        run, name, state, claim, has_yielded, error = row
        now = (state, claim, has_yielded)
        before = self._seen.get(run)
        if before == now:
            return
        self._seen[run] = now
        if has_yielded and not (before and before[2]):
            self.gave_way.add(run)
        again = f", claim {claim}" if claim > 1 else ""
        self.timeline.tell(f"{run} {name}: {state}{again}{f' ({error})' if error else ''}")
