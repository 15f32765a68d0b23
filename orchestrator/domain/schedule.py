"""Describe schedules: submissions that daemons make again and again, at the moments of a cron expression."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.quoting import quoted
from orchestrator.domain.run_words import NewWords
from orchestrator.domain.submission import ParcelFile

Rule = TypeVar("Rule", bound=StrEnum)

MISSED_AFTER = timedelta(minutes=5)
"""A firing that comes later counts as missed. A living daemon looks every few seconds."""
JITTER_S_MAX = 86_400


class Overlap(StrEnum):
    """Name what a firing does while the run of an earlier firing waits or goes on."""

    SKIP = "skip"
    QUEUE = "queue"


class Missed(StrEnum):
    """Name what becomes of firings for which no daemon was there: one run for all of them, or none."""

    RUN = "run"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Hold when a schedule fires. `jitter_s` bounds the schedule's own delay behind each moment of the expression."""

    cron: str
    zone: str
    jitter_s: int = 0
    overlap: Overlap = Overlap.SKIP
    missed: Missed = Missed.RUN


@dataclass(frozen=True, slots=True)
class NewSchedule:
    """Ask for a schedule. The other fields are those of the submissions that the schedule makes (`NewSubmission`)."""

    name: str
    holder: str
    rhythm: Rhythm
    sweep: str
    source: str
    select: str
    priority: int
    files: tuple[ParcelFile, ...]
    words: NewWords = field(default_factory=NewWords)
    device_s: Mapping[str, float | None] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    window: str | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """Hold a schedule as stored. All times are by the database's clock.

    `edition` counts changes and firings: whoever changes a schedule names the edition seen. `due_at` is the next moment
    of the expression, and `fires_at` that moment with the schedule's delay. `last` says what the last firing made.
    """

    id: int
    name: str
    holder: str
    rhythm: Rhythm
    sweep: str
    source: str
    select: str
    priority: int
    words: NewWords
    added_at: datetime
    edition: int
    is_paused: bool
    due_at: datetime
    fires_at: datetime
    fired_at: datetime | None = None
    last: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    window: str | None = None

    def is_missed(self, now: datetime) -> bool:
        """Return True if no daemon was there when the schedule was to fire."""
        return now - self.fires_at > MISSED_AFTER


@dataclass(frozen=True, slots=True)
class Moments:
    """Hold a moment of a cron expression, and when the schedule fires for that moment."""

    due_at: datetime
    fires_at: datetime


@dataclass(frozen=True, slots=True)
class Firing:
    """Ask for one firing. `run` is the run to submit, None where the firing is left out for the reason `why`."""

    schedule: int
    edition: int
    then: Moments
    run: str | None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class ScheduleMoments:
    """Hold the next moments of a schedule, as `schedule next` tells them."""

    schedule: Schedule
    now: datetime
    moments: tuple[Moments, ...]


def delay_of(schedule: int, jitter_s: int) -> timedelta:
    """Return a schedule's own delay: whole seconds from 0 to the jitter, drawn by the schedule's id alone.

    Schedules of the same minute are kept apart, and the nights of one schedule stay a day apart.
    """
    drawn = int.from_bytes(hashlib.sha256(f"schedule {schedule}".encode()).digest()[:8], "big")
    return timedelta(seconds=drawn % (jitter_s + 1))


def checked_jitter_s(seconds: float) -> int:
    """Return a jitter in whole seconds. Raise ConfigError for more than a day."""
    if not 0 <= seconds <= JITTER_S_MAX:
        raise ConfigError(f"--jitter: {seconds:g} s is too long", "at most 1d")
    return int(seconds)


def rule_of(rules: type[Rule], text: str, option: str) -> Rule:
    """Return the rule of a text. Raise ConfigError for another text."""
    try:
        return rules(text)
    except ValueError:
        raise ConfigError(f"{option} {quoted(text)}: no such rule", f"known: {', '.join(rules)}") from None
