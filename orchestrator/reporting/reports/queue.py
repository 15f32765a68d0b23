"""Declare a submission, and the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.domain.submission import DaemonRecord, QueueEntry, QueueView, Submission, SubmissionState
from orchestrator.domain.window import Window
from orchestrator.reporting.report import Report
from orchestrator.reporting.shape import (
    BOOLEAN,
    FREE,
    INTEGER,
    NUMBER,
    TEXT,
    TIME,
    Key,
    ListOf,
    MapOf,
    OneOf,
    OrNull,
    Shape,
    View,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

_HEAD: tuple[Key[Submission], ...] = (
    Key("run", TEXT, "The id of the run, also before the run begins.", lambda one: one.run),
    Key("sweep", TEXT, "The sweep's name.", lambda one: one.sweep),
    Key("state", OneOf(SubmissionState), "Where the submission stands.", lambda one: one.state),
    Key("holder", TEXT, "The person who submitted the run: user@host.", lambda one: one.holder),
    Key("select", TEXT, "Which devices of the daemon's inventory.", lambda one: one.select),
    Key("priority", INTEGER, "The priority; higher goes first.", lambda one: one.priority),
    Key("submitted_at", TIME, "When the run was submitted.", lambda one: one.submitted_at),
    Key("not_before", OrNull(TIME), "The run does not begin before; null for any time.", lambda one: one.not_before),
    Key("name", OrNull(TEXT), "The run's name.", lambda one: one.words.name),
    Key("note", OrNull(TEXT), "The note.", lambda one: one.words.note),
)
_TAIL: tuple[Key[Submission], ...] = (
    Key("claims", INTEGER, "How often a daemon has claimed the submission.", lambda one: one.claim),
    Key("is_claimed", BOOLEAN, "Whether a living daemon carries the submission out.", lambda one: one.is_claimed),
    Key("daemon", OrNull(TEXT), "The last daemon; null before the first.", lambda one: one.daemon),
    Key("claimed_at", OrNull(TIME), "When that daemon claimed the submission.", lambda one: one.claimed_at),
    Key("ended_at", OrNull(TIME), "When the submission was over; null before.", lambda one: one.ended_at),
    Key("error", OrNull(TEXT), "Why the submission failed, is incomplete or is held.", lambda one: one.error),
    Key("hint", OrNull(TEXT), "The remedy.", lambda one: one.hint),
    Key(
        "schedule",
        OrNull(TEXT),
        "The name of the schedule that submitted the run; null for a person.",
        lambda one: one.schedule,
    ),
    Key("window", OrNull(TEXT), "The window within which the run begins; null for any time.", lambda one: one.window),
)
_SUBMISSION = View[Submission](
    "submission",
    "A run that waits for a daemon, is carried out by one, or is over.",
    (
        *_HEAD,
        Key("tags", MapOf(TEXT, "key"), "The tags for the run.", lambda one: one.words.tags),
        Key(
            "settings",
            MapOf(FREE, "setting"),
            "What flags ask of the run beside the sweep: missing, or stale_s in seconds.",
            lambda one: one.settings,
        ),
        Key(
            "device_s",
            OrNull(MapOf(OrNull(NUMBER), "device")),
            "The expected seconds on each device, null where a cell was never measured there. The whole is null before "
            "an inventory with such devices is known.",
            lambda one: one.device_s,
        ),
        *_TAIL,
    ),
)
_SUBMISSION_ROW = View[Submission](
    "submission-row",
    _SUBMISSION.about,
    (*_HEAD, Key("devices", TEXT, "The devices, by commas.", lambda one: ", ".join(one.device_s or ())), *_TAIL),
)
SUBMITTED = Shape[Submission](_SUBMISSION, _SUBMISSION_ROW, lambda one: [one])


def _of_entry(key: Key[Submission]) -> Key[QueueEntry]:
    return Key(key.name, key.kind, key.meaning, lambda entry: key.read(entry.submission))


_ENTRY = View[QueueEntry](
    "queue-entry",
    "A submission in the queue.",
    (
        Key("submission", _SUBMISSION, "The submission.", lambda one: one.submission),
        Key("reason", OrNull(TEXT), "Why the submission waits; null where it runs or is over.", lambda one: one.reason),
        Key(
            "begins_at",
            OrNull(TIME),
            "When the run is expected to begin, by the time that trials of the same cells have taken; null where "
            "such a time is unknown.",
            lambda one: one.begins_at,
        ),
    ),
)
_ENTRY_ROW = View[QueueEntry](
    "queue-entry-row",
    _ENTRY.about,
    (
        *map(_of_entry, _SUBMISSION_ROW.keys),
        *_ENTRY.keys[1:],
    ),
)
_WINDOW = View[Window](
    "window",
    "Hours of each day in which some work may use some devices.",
    (
        Key("name", TEXT, "The window's name.", lambda one: one.name),
        Key("hours", TEXT, "When the window opens and closes, by the clock of the zone.", lambda one: one.hours),
        Key("zone", TEXT, "The time zone.", lambda one: one.zone),
        Key("users", ListOf(TEXT), "The persons that may use the window; none for everybody.", lambda one: one.users),
        Key("devices", ListOf(TEXT), "The window's devices.", lambda one: one.devices or ()),
    ),
)
_DAEMON = View[DaemonRecord](
    "daemon",
    "A daemon that lives.",
    (
        Key("holder", TEXT, "The daemon's user: user@host.", lambda one: one.holder),
        Key("controller", TEXT, "The daemon's process.", lambda one: one.controller),
        Key("began_at", TIME, "When the daemon began.", lambda one: one.began_at),
        Key("devices", ListOf(TEXT), "The devices of the daemon's inventory.", lambda one: one.devices),
        Key("windows", ListOf(_WINDOW), "The windows of the daemon's settings.", lambda one: one.windows),
    ),
)
_VIEW = View[QueueView](
    "queue",
    "The queue at a moment.",
    (
        Key("now", TIME, "The moment, by the database's clock.", lambda one: one.now),
        Key("daemons", ListOf(_DAEMON), "The daemons that live.", lambda one: one.daemons),
        Key(
            "share_s",
            MapOf(NUMBER, "person"),
            "For how many seconds the runs of each person had devices over the last day.",
            lambda one: one.shares,
        ),
        Key("entries", ListOf(_ENTRY), "The submissions, in the order of the queue.", lambda one: one.entries),
    ),
)
QUEUE = Shape[QueueView](_VIEW, _ENTRY_ROW, lambda view: view.entries)


def submission_report(one: Submission) -> Report:
    """Return a submission as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.queue import submission_line

        return submission_line(one)

    return Report(one, SUBMITTED, draw)


def queue_report(view: QueueView, limit: int) -> Report:
    """Return the queue as a report. A person sees `limit` submissions, a program all."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.queue import queue_table

        return queue_table(view, limit)

    return Report(view, QUEUE, draw)
