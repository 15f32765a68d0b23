"""Declare the tables of schedules."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, Table, Text, false

from orchestrator.store.schema.columns import key, metadata, text
from orchestrator.store.sql.column_types import Json, UtcTime

schedule = Table(
    "schedule",
    metadata,
    key(),
    Column("name", Text, nullable=False, unique=True, doc="The schedule's name, and the name of each of its runs."),
    text("holder", "The person who added the schedule, and submits its runs: user@host."),
    text("cron", "The cron expression."),
    text("zone", "The time zone of the expression."),
    Column("jitter_s", Integer, nullable=False, doc="The longest delay; the id draws the schedule's own."),
    text("overlap", "skip or queue: what a firing does while an earlier run of the schedule waits or goes on."),
    text("missed", "run or skip: what becomes of firings for which no daemon was there."),
    text("sweep", "The sweep's name."),
    text("source", "The sweep file, on the machine of the person."),
    text("selector", "Which devices of the daemon's inventory."),
    Column("priority", Integer, nullable=False, doc="The priority of the runs."),
    text("note", "The note for the runs; NULL without one.", nullable=True),
    Column("tags", Json, nullable=False, doc="The tags for the runs."),
    text("git_commit", "The git commit of the sweep's folder; NULL if the folder has none.", nullable=True),
    Column("git_dirty", Boolean, doc="Whether tracked files differed from the commit; NULL without a commit."),
    text("time_window", "The window within which the runs begin; NULL for any time.", nullable=True),
    Column("settings", Json, doc="What flags ask of the runs beside the sweep: missing, or stale_s; NULL for nothing."),
    Column("device_s", Json, doc="The expected seconds by device, as in `submission`; NULL before they are known."),
    Column("added_at", UtcTime, nullable=False, doc="All times of this table are by the database's clock."),
    Column("edition", Integer, nullable=False, doc="How often the schedule was changed or has fired."),
    Column("is_paused", Boolean, nullable=False, server_default=false(), doc="Whether the schedule does not fire."),
    Column("due_at", UtcTime, nullable=False, doc="The next moment of the expression."),
    Column("fires_at", UtcTime, nullable=False, doc="That moment with the schedule's own delay."),
    Column("fired_at", UtcTime, doc="When the schedule fired last; NULL before."),
    text("last", "The run that the last firing submitted, or why there is none; NULL before.", nullable=True),
    Index(None, "fires_at"),
    info={"doc": "A submission that daemons make again and again."},
)

schedule_file = Table(
    "schedule_file",
    metadata,
    Column("schedule_id", ForeignKey("schedule.id"), primary_key=True, doc="The schedule."),
    Column("path", Text, primary_key=True, doc="The path of the file, within the submission's folder."),
    Column("sha256", ForeignKey("stored_blob.sha256"), nullable=False, doc="The content."),
    Index(None, "sha256"),
    info={"doc": "A file of a schedule's submissions."},
)
