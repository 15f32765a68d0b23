"""The queue: submissions, their contents in chunks, and daemons.

Revision 0025 follows 0024.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.store.sql.column_types import Id, Json, UtcTime

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "stored_blob",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("chunk_bytes", sa.Integer(), nullable=False),
        sa.Column("begun_at", UtcTime(), nullable=False),
        sa.Column("stored_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("sha256", name="pk_stored_blob"),
    )
    op.create_table(
        "blob_chunk",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["sha256"], ["stored_blob.sha256"], name="fk_blob_chunk_sha256"),
        sa.PrimaryKeyConstraint("sha256", "position", name="pk_blob_chunk"),
    )
    op.create_table(
        "daemon",
        sa.Column("id", Id, nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("controller", sa.Text(), nullable=False),
        sa.Column("devices", Json(), nullable=False),
        sa.Column("began_at", UtcTime(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.Column("ended_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_daemon"),
    )
    _create_submissions()


def _create_submissions() -> None:
    op.create_table(
        "submission",
        sa.Column("id", Id, nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("sweep", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("selector", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("submitted_at", UtcTime(), nullable=False),
        sa.Column("not_before", UtcTime(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("tags", Json(), nullable=False),
        sa.Column("git_commit", sa.Text(), nullable=True),
        sa.Column("git_dirty", sa.Boolean(), nullable=True),
        sa.Column("device_s", Json(), nullable=True),
        sa.Column("claim", sa.Integer(), nullable=False),
        sa.Column("daemon_id", Id, nullable=True),
        sa.Column("claimed_at", UtcTime(), nullable=True),
        sa.Column("stops", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("ended_at", UtcTime(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("hint", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["daemon_id"], ["daemon.id"], name="fk_submission_daemon_id"),
        sa.PrimaryKeyConstraint("id", name="pk_submission"),
        sa.UniqueConstraint("run_id", name="uq_submission_run_id"),
    )
    op.create_index("ix_submission_state", "submission", ["state"])
    op.create_table(
        "submission_file",
        sa.Column("submission_id", Id, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["submission_id"], ["submission.id"], name="fk_submission_file_submission_id"),
        sa.ForeignKeyConstraint(["sha256"], ["stored_blob.sha256"], name="fk_submission_file_sha256"),
        sa.PrimaryKeyConstraint("submission_id", "path", name="pk_submission_file"),
    )
    op.create_index("ix_submission_file_sha256", "submission_file", ["sha256"])


def downgrade() -> None:
    for name in ("submission_file", "submission", "daemon", "blob_chunk", "stored_blob"):
        op.drop_table(name)
