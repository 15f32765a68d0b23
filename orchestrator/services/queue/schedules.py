"""Add schedules, change them, and tell when they fire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.run_words import NewWords, checked_run_name
from orchestrator.domain.schedule import NewSchedule, Rhythm, Schedule, ScheduleMoments
from orchestrator.domain.submission import checked_priority
from orchestrator.services.devices.needed import ALL
from orchestrator.services.queue.submit import Told, expected_here, send_parcel, settings_of
from orchestrator.services.runs.commit import commit_of
from orchestrator.specs.cron import coming_moments, due_after

if TYPE_CHECKING:
    from orchestrator.domain.increment import Increment
    from orchestrator.services.base import HasRecords, QueueWiring


@dataclass(frozen=True, slots=True)
class ScheduleRequest:
    """Ask for a schedule. The other fields mean the same as in `SubmitRequest`.

    `words.name` is the schedule's name, and the sweep's name is taken without one. `replaces`: change the schedule of
    that name.
    """

    sweep: Path
    rhythm: Rhythm
    select: str = "all"
    priority: int = 0
    overrides: tuple[str, ...] = ()
    words: NewWords = field(default_factory=NewWords)
    replaces: bool = False
    increment: Increment | None = None
    window: str | None = None


def add(request: ScheduleRequest, wiring: QueueWiring, told: Told = lambda _: None) -> Schedule:
    """Add a schedule with everything that its runs need. `told` gets a line for each content that is sent.

    Raise ConfigError, with nothing scheduled, for a wrong request or sweep.
    """
    priority, store = checked_priority(request.priority), wiring.store
    # Before anything is sent: a wrong expression is the likeliest mistake.
    due_after(request.rhythm.cron, request.rhythm.zone, store.daemons.now())
    file = wiring.sweep_file(request.sweep, request.overrides)
    name = checked_run_name(request.words.name or file.sweep.name)
    holder = wiring.identity().holder
    need = file.sweep.need if request.select == ALL else None
    new = NewSchedule(
        name=name,
        holder=holder,
        rhythm=request.rhythm,
        sweep=file.sweep.name,
        source=str(request.sweep.absolute()),
        select=need.select if need else request.select,
        priority=priority,
        files=send_parcel(file, wiring, told),
        words=replace(request.words, who=holder, name=name, commit=commit_of(request.sweep.absolute().parent)),
        device_s=None if need else expected_here(file, request.select, wiring),
        settings=settings_of(request.increment, need),
        window=request.window,
    )
    return store.schedules.add_schedule(new, replaces=request.replaces)


def next_firings(name: str | None, count: int, wiring: HasRecords) -> Sequence[ScheduleMoments]:
    """Return the next firings of a schedule, or of each. Raise ConfigError for an unknown one."""
    store = wiring.store
    found = store.schedules.schedules() if name is None else [require_schedule(name, wiring)]
    now = store.daemons.now()
    return [ScheduleMoments(one, now, tuple(coming_moments(one, count))) for one in found]


def require_schedule(name: str, wiring: HasRecords) -> Schedule:
    """Return a schedule by name. Raise ConfigError for an unknown one."""
    found = wiring.store.schedules.find_schedule(name)
    if found is None:
        raise ConfigError(f"no schedule is called {name!r}", "benchfleet schedule list")
    return found
