"""A queue for the samples: what runs, what waits, and what is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from orchestrator.domain.run_words import NewWords
from orchestrator.domain.schedule import Moments, Rhythm, Schedule, ScheduleMoments
from orchestrator.domain.submission import DaemonRecord, QueueEntry, QueueView, Submission, SubmissionState
from orchestrator.domain.window import Window
from tests.unit.reporting import samples

NIGHTLY = Window("nightly", "22:00-06:00", "Europe/Berlin", ("ci",), "class=rpi", ("pi-03",))
LATER = samples.BEGAN + timedelta(hours=2)
WORDS = NewWords("ann@ws1", "sink", "new sink " + samples.HOSTILE, {"branch": "main"})
WAITING = Submission(
    id=7,
    run="20240601-k3f9",
    holder="ann@ws1",
    sweep="digits",
    source="/lab/digits.yaml",
    select="pi-*",
    priority=1,
    rank=7,
    state=SubmissionState.WAITING,
    submitted_at=samples.BEGAN,
    claim=0,
    not_before=LATER,
    words=WORDS,
    device_s={"pi-03": 61.5, "pi-04": None},
    schedule="nights",
    window="nightly",
)
RUNNING = replace(
    WAITING,
    run="20240601-aaaa",
    state=SubmissionState.RUNNING,
    claim=2,
    device_s={"pi-03": 61.5},
    daemon="lab@d1 (pid 7)",
    is_claimed=True,
    claimed_at=samples.BEGAN,
)
FAILED = replace(
    WAITING,
    run="20240601-bbbb",
    state=SubmissionState.FAILED,
    words=NewWords("ann@ws1"),
    not_before=None,
    device_s=None,
    ended_at=LATER,
    error="no wheel " + samples.HOSTILE,
    hint="wait",
)
QUEUE = QueueView(
    LATER,
    (DaemonRecord(1, "lab@d1", "pid 7", samples.BEGAN, ("pi-03", "pi-04"), (NIGHTLY,)),),
    {"ann": 3_600.0, "bob": 61.5},
    (
        QueueEntry(RUNNING, None, samples.BEGAN),
        QueueEntry(WAITING, "behind 20240601-aaaa for pi-03", None),
        QueueEntry(FAILED, None, None),
    ),
)
SCHEDULE = Schedule(
    id=3,
    name="nights",
    holder="ann@ws1",
    rhythm=Rhythm("0 22 * * mon-fri", "Europe/Berlin", 600),
    sweep="digits",
    source="/lab/digits.yaml",
    select="pi-*",
    priority=-1,
    words=WORDS,
    added_at=samples.BEGAN,
    edition=4,
    is_paused=False,
    due_at=LATER,
    fires_at=LATER + timedelta(minutes=3),
    fired_at=samples.BEGAN,
    last="skipped: " + samples.HOSTILE,
    settings={"stale_s": 604_800.0},
    window="nightly",
)
PAUSED = replace(SCHEDULE, name="days", is_paused=True, fired_at=None, last=None)
NEXT = (
    ScheduleMoments(SCHEDULE, samples.BEGAN, (Moments(LATER, LATER), Moments(LATER, LATER + timedelta(minutes=3)))),
    ScheduleMoments(PAUSED, samples.BEGAN, (Moments(LATER, LATER),)),
)
