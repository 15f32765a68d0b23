"""Watch runs for many readers by one look at a time."""

from __future__ import annotations

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.run_glance import RunGlance
from orchestrator.services.pages.base import PageReader
from orchestrator.services.pages.kept import NOW_S, Kept

LOOK_S = NOW_S
"""Time between two looks at a run: a trial takes longer, and a person reads no faster."""
FAILURES_SHOWN = 20


def look(run: str, reader: PageReader, kept: Kept) -> RunGlance:
    """Return the present standing of a run, by its whole id: one look in LOOK_S, however many readers ask.

    Raise ConfigError for an unknown run.
    """
    glance = kept.get(("glance", run), LOOK_S, lambda: reader.watch.glance(run, FAILURES_SHOWN))
    if glance is None:
        raise ConfigError(f"there is no run {run!r}", "benchfleet runs list shows what there is")
    return glance
