"""Describe submissions: runs put into the database with everything they need, for a daemon to carry out.

docs/decisions/0053 explains the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.quoting import quoted
from orchestrator.domain.run_words import NewWords

if TYPE_CHECKING:
    from orchestrator.domain.window import Window

PRIORITY_MAX = 100
"""The largest priority, and the smallest below zero."""


class SubmissionState(StrEnum):
    """Name the states of a submission.

    waiting <-> held; waiting -> running -> ended | failed (nothing could be run) | cancelled. A running submission
    whose daemon died or was stopped goes on with the next daemon.
    """

    WAITING = "waiting"
    HELD = "held"
    RUNNING = "running"
    ENDED = "ended"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN = (SubmissionState.WAITING, SubmissionState.HELD, SubmissionState.RUNNING)
OVER = (SubmissionState.ENDED, SubmissionState.FAILED, SubmissionState.CANCELLED)


@dataclass(frozen=True, slots=True)
class ParcelFile:
    """Name a file of a submission: the path within the parcel, and the content by SHA-256 and size in bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class NewSubmission:
    """Ask for a run. `holder` is user@host, and `run` the id that the run will have.

    `device_s` maps each device that the submitter's inventory selects to the expected seconds there, None where a cell
    was never measured. The whole is None where the submitter has no such inventory. `source` is the sweep file.
    `settings` are what flags ask of the run beside the sweep.
    `schedule` is the name of the schedule that submits the run. The run begins within the `window` alone.
    """

    run: str
    holder: str
    sweep: str
    source: str
    select: str
    priority: int
    files: tuple[ParcelFile, ...]
    not_before: datetime | None = None
    words: NewWords = field(default_factory=NewWords)
    device_s: Mapping[str, float | None] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    schedule: str | None = None
    window: str | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """Hold a submission as stored. All times are by the database's clock.

    `claim` counts the claims so far: a daemon writes under the number of its own alone. `claims_abandoned` counts the
    claims before the last one that ended, one after the other, without a word of their daemons. `rank` orders the
    submissions of one person at one priority. `daemon` is the last daemon, in words, and `daemon_id` its id.
    `is_claimed`: that daemon still lives. `stops`: a person wants the run ended. `has_yielded`: the run has given way
    to a more urgent one. `device_s` is as in `NewSubmission`, and by the inventory of a daemon once one has looked.
    `settings` and `window` are as in `NewSubmission`. `schedule` is the name of the schedule that submitted the run.
    """

    id: int
    run: str
    holder: str
    sweep: str
    source: str
    select: str
    priority: int
    rank: int
    state: SubmissionState
    submitted_at: datetime
    claim: int
    not_before: datetime | None = None
    words: NewWords = field(default_factory=NewWords)
    device_s: Mapping[str, float | None] | None = None
    daemon: str | None = None
    is_claimed: bool = False
    claims_abandoned: int = 0
    claimed_at: datetime | None = None
    ended_at: datetime | None = None
    error: str | None = None
    hint: str | None = None
    stops: bool = False
    has_yielded: bool = False
    daemon_id: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    schedule: str | None = None
    window: str | None = None

    @property
    def person(self) -> str:
        """Return the person behind the submission, the same on each of the person's machines."""
        return person_of(self.holder)


def person_of(holder: str) -> str:
    """Return the person of a holder user@host."""
    return holder.partition("@")[0]


@dataclass(frozen=True, slots=True)
class Claim:
    """Name a daemon's claim of a submission. A later claim of the same submission has a larger number."""

    submission: int
    daemon: int
    number: int


@dataclass(frozen=True, slots=True)
class DaemonRecord:
    """Hold a live daemon: whose process, since when, the devices of the daemon's inventory, and its windows."""

    id: int
    holder: str
    controller: str
    began_at: datetime
    devices: tuple[str, ...]
    windows: tuple[Window, ...] = ()

    @property
    def words(self) -> str:
        """Return the daemon in words."""
        return f"{self.holder} ({self.controller})"


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """Hold a submission in the queue: why it waits, and when it is expected to begin; None where that is unknown."""

    submission: Submission
    reason: str | None
    begins_at: datetime | None


@dataclass(frozen=True, slots=True)
class QueueView:
    """Hold the queue at a moment, with the daemons that live.

    `shares` are the last day's seconds of devices by person.
    """

    now: datetime
    daemons: tuple[DaemonRecord, ...]
    shares: Mapping[str, float]
    entries: tuple[QueueEntry, ...]


def checked_priority(priority: int) -> int:
    """Return a priority. Raise ConfigError outside of the bounds."""
    if abs(priority) > PRIORITY_MAX:
        raise ConfigError(
            f"priority {priority}: expected a number from {-PRIORITY_MAX} to {PRIORITY_MAX}", "0 is the usual priority"
        )
    return priority


def checked_path(path: str) -> PurePosixPath:
    """Return the path of a file within a parcel. Raise ConfigError for a path that could lead out of the parcel."""
    # Whoever may write into the database may write any path there.
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in path or "\\" in path:
        raise ConfigError(f"{quoted(path)}: no path within a submission", "submit the sweep again")
    return PurePosixPath(path)
