"""Schedules: submissions that come again.

Revision 0027 follows 0026.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.store.sql.column_types import Id, Json, UtcTime

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "schedule",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("cron", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("jitter_s", sa.Integer(), nullable=False),
        sa.Column("overlap", sa.Text(), nullable=False),
        sa.Column("missed", sa.Text(), nullable=False),
        sa.Column("sweep", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("selector", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("tags", Json(), nullable=False),
        sa.Column("git_commit", sa.Text(), nullable=True),
        sa.Column("git_dirty", sa.Boolean(), nullable=True),
        sa.Column("settings", Json(), nullable=True),
        sa.Column("device_s", Json(), nullable=True),
        sa.Column("added_at", UtcTime(), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("is_paused", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("due_at", UtcTime(), nullable=False),
        sa.Column("fires_at", UtcTime(), nullable=False),
        sa.Column("fired_at", UtcTime(), nullable=True),
        sa.Column("last", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_schedule"),
        sa.UniqueConstraint("name", name="uq_schedule_name"),
    )
    op.create_index("ix_schedule_fires_at", "schedule", ["fires_at"])
    op.create_table(
        "schedule_file",
        sa.Column("schedule_id", Id, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["schedule_id"], ["schedule.id"], name="fk_schedule_file_schedule_id"),
        sa.ForeignKeyConstraint(["sha256"], ["stored_blob.sha256"], name="fk_schedule_file_sha256"),
        sa.PrimaryKeyConstraint("schedule_id", "path", name="pk_schedule_file"),
    )
    op.create_index("ix_schedule_file_sha256", "schedule_file", ["sha256"])
    op.add_column("submission", sa.Column("schedule", sa.Text(), nullable=True))
    op.create_index("ix_submission_schedule", "submission", ["schedule"])


def downgrade() -> None:
    op.drop_index("ix_submission_schedule", "submission")
    op.drop_column("submission", "schedule")
    op.drop_table("schedule_file")
    op.drop_table("schedule")
