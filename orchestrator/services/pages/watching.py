"""Watch runs for many readers by one look at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.run_glance import RunGlance
from orchestrator.services.pages.base import PageReader

LOOK_S = 1.0
"""Time between two looks at a run: a trial takes longer, and a person reads no faster."""
FAILURES_SHOWN = 20
_RUNS_MAX = 64


class Watches:
    """Look at runs under way, at most once in LOOK_S for each run, however many readers ask."""

    def __init__(self, reader: PageReader, clock: Callable[[], float] = time.monotonic) -> None:
        self._reader = reader
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, RunGlance]] = {}

    def look(self, run: str) -> RunGlance:
        """Return the present standing of a run, by its whole id. Raise ConfigError for an unknown run."""
        # One reader asks the database, and the others wait here for the same answer.
        with self._lock:
            at, glance = self._seen.get(run, (-LOOK_S, None))
            if glance is None or self._clock() - at >= LOOK_S:
                glance = self._reader.watch.glance(run, FAILURES_SHOWN)
                if glance is None:
                    raise ConfigError(f"there is no run {run!r}", "benchfleet runs list shows what there is")
                if len(self._seen) >= _RUNS_MAX:
                    self._seen.clear()
                # The time after the look: a slow database is not asked again at once.
                self._seen[run] = (self._clock(), glance)
            return glance
