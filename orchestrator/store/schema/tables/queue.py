"""Declare the tables of the queue: submissions, their contents in chunks, and daemons."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text, false

from orchestrator.store.schema.columns import key, metadata, reference, text
from orchestrator.store.sql.column_types import Json, UtcTime

stored_blob = Table(
    "stored_blob",
    metadata,
    Column("sha256", String(64), primary_key=True, doc="Hash of the content."),
    Column("size_bytes", BigInteger, nullable=False, doc="Size of the content."),
    Column("chunk_bytes", Integer, nullable=False, doc="Size of each chunk but the last."),
    Column("begun_at", UtcTime, nullable=False, doc="When the upload began. All times are by the database's clock."),
    Column("stored_at", UtcTime, doc="When the last chunk had arrived; NULL before."),
    info={"doc": "A content that a submission needs: a model, a data set, a program, a sweep."},
)

blob_chunk = Table(
    "blob_chunk",
    metadata,
    Column("sha256", ForeignKey("stored_blob.sha256"), primary_key=True, doc="The content."),
    Column("position", Integer, primary_key=True, autoincrement=False, doc="The chunk's place, from 0."),
    Column("content", LargeBinary, nullable=False, doc="The bytes."),
    info={"doc": "A part of a content, stored by a transaction of its own: a cut upload goes on."},
)

daemon = Table(
    "daemon",
    metadata,
    key(),
    text("holder", "The user of the daemon: user@host."),
    text("controller", "The daemon's process."),
    Column("devices", Json, nullable=False, doc="The names of the devices in the daemon's inventory."),
    Column("windows", Json, doc="The windows of the daemon's settings, with their devices; NULL for none."),
    Column("began_at", UtcTime, nullable=False, doc="All times of this table are by the database's clock."),
    Column("expires_at", UtcTime, nullable=False, doc="When the daemon counts as dead, unless it is heard of again."),
    Column("ended_at", UtcTime, doc="When the daemon ended by itself; NULL before, and after a sudden death."),
    info={"doc": "A process that carries out submissions."},
)

submission = Table(
    "submission",
    metadata,
    key(),
    # No reference: the run begins later.
    Column("run_id", String(64), nullable=False, unique=True, doc="The run's id, also before the run; joins `run`."),
    text("holder", "The person who submitted the run: user@host."),
    text("sweep", "The sweep's name."),
    text("source", "The sweep file, on the submitter's machine."),
    text("selector", "Which devices of the daemon's inventory."),
    Column("priority", Integer, nullable=False, doc="Higher goes first; 0 is usual."),
    Column("rank", BigInteger, nullable=False, doc="The order among submissions of one person at one priority."),
    text("state", "waiting, held, running, ended, failed or cancelled."),
    Column("submitted_at", UtcTime, nullable=False, doc="All times of this table are by the database's clock."),
    Column("not_before", UtcTime, doc="The run does not begin before; NULL for any time."),
    text("name", "The name for the run; NULL without one.", nullable=True),
    text("note", "The note for the run; NULL without one.", nullable=True),
    Column("tags", Json, nullable=False, doc="The tags for the run."),
    text("git_commit", "The git commit of the sweep's folder; NULL if the folder has none.", nullable=True),
    Column("git_dirty", Boolean, doc="Whether tracked files differed from the commit; NULL without a commit."),
    Column("settings", Json, doc="What flags ask of the run beside the sweep, as in `run`; NULL without any."),
    Column(
        "device_s",
        Json,
        doc="The devices, each with the expected seconds there, null where a cell was never measured; NULL before an "
        "inventory with such devices is known.",
    ),
    Column("claim", Integer, nullable=False, doc="How often a daemon has claimed the submission."),
    reference("daemon_id", "daemon", "The last daemon; NULL before the first.", nullable=True),
    Column(
        "claims_abandoned",
        Integer,
        nullable=False,
        server_default="0",
        doc="How many claims before the last one, one after the other, ended without a word of their daemons.",
    ),
    Column("claimed_at", UtcTime, doc="When the last daemon claimed the submission; NULL before."),
    Column("stops", Boolean, nullable=False, server_default=false(), doc="Whether a person wants the run ended."),
    Column(
        "has_yielded",
        Boolean,
        nullable=False,
        server_default=false(),
        doc="Whether the run has given its devices to a more urgent one, and goes on after that.",
    ),
    Column("ended_at", UtcTime, doc="When the submission was over; NULL before."),
    text("error", "Why the submission failed, is incomplete, or is held; NULL without a reason.", nullable=True),
    text("hint", "The remedy.", nullable=True),
    text("schedule", "The name of the schedule that submitted the run; NULL for a person.", nullable=True),
    # Not `window`, a word of SQL.
    text("time_window", "The window within which the run begins; NULL for any time.", nullable=True),
    Index(None, "state"),
    Index(None, "schedule"),
    info={"doc": "A run in the queue, with everything it needs. A daemon carries it out."},
)

submission_file = Table(
    "submission_file",
    metadata,
    Column("submission_id", ForeignKey("submission.id"), primary_key=True, doc="The submission."),
    Column("path", Text, primary_key=True, doc="The path of the file, within the submission's folder."),
    Column("sha256", ForeignKey("stored_blob.sha256"), nullable=False, doc="The content."),
    Index(None, "sha256"),
    info={"doc": "A file of a submission."},
)
