"""Fire schedules: let each that is due submit its run, once, whoever else fires."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.moments import noted
from orchestrator.domain.schedule import Firing, Missed, Schedule
from orchestrator.services.runs.start import new_run_id
from orchestrator.specs.cron import next_moments

if TYPE_CHECKING:
    from orchestrator.store.base import Roles


class Firer:
    """Fire the schedules of a database. `says` gets a line for each firing, and for each that goes wrong.

    Several threads may fire at the same time, as several daemons may.
    """

    def __init__(self, store: Roles, says: Callable[[str], None]) -> None:
        self._store = store
        self._says = says
        self._complaints: set[str] = set()

    def fire_due(self) -> None:
        """Fire what is due. Raise StoreError for a database that fails: what has not fired is due again."""
        due = self._store.schedules.due_schedules()
        now = self._store.daemons.now() if due else None
        for one in due:
            assert now is not None
            try:
                made = self._store.schedules.fire(firing_of(one, now))
            except ConfigError as error:
                # This machine lacks the zone, say. Another daemon may know it, and nothing is lost meanwhile.
                self.complain(f"schedule {one.name} cannot fire here: {error}")
                continue
            if made is not None:
                self._says(f"schedule {one.name}: {made}")

    def complain(self, words: str) -> None:
        """Say what went wrong, once."""
        if words not in self._complaints:
            self._complaints.add(words)
            self._says(words)


def firing_of(one: Schedule, now: datetime) -> Firing:
    """Return the firing of a schedule that is due. All moments that have passed meanwhile are one firing.

    Raise ConfigError for a time zone that this machine does not know.
    """
    then = next_moments(one.id, one.rhythm, max(now, one.fires_at))
    if one.rhythm.missed is Missed.SKIP and one.is_missed(now):
        return Firing(one.id, one.edition, then, None, f"missed: no daemon fired at {noted(one.fires_at, now)}")
    return Firing(one.id, one.edition, then, new_run_id(now))
