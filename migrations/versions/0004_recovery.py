"""Recovery: what was tried when a device failed, and which devices are kept from further runs.

Revision 0004 follows 0003.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.store.sql.column_types import Id, UtcTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NOT_ENDED = sa.text("ended_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "recovery_event",
        sa.Column("id", Id, primary_key=True),
        sa.Column("device_id", Id, sa.ForeignKey("device.id", name="fk_recovery_event_device_id"), nullable=False),
        sa.Column("run_id", sa.String(64), sa.ForeignKey("run.id", name="fk_recovery_event_run_id"), nullable=False),
        sa.Column("rung", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("began_at", UtcTime(), nullable=False),
        sa.Column("ended_at", UtcTime()),
        sa.Column("succeeded", sa.Boolean()),
    )
    op.create_index("ix_recovery_event_device_id", "recovery_event", ["device_id"])
    op.create_index("ix_recovery_event_run_id", "recovery_event", ["run_id"])
    op.create_table(
        "quarantine",
        sa.Column("id", Id, primary_key=True),
        sa.Column("device_id", Id, sa.ForeignKey("device.id", name="fk_quarantine_device_id"), nullable=False),
        sa.Column("run_id", sa.String(64), sa.ForeignKey("run.id", name="fk_quarantine_run_id")),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("since", UtcTime(), nullable=False),
        sa.Column("ended_at", UtcTime()),
        sa.Column("ended_by", sa.Text()),
    )
    op.create_index(
        "uq_quarantine_device",
        "quarantine",
        ["device_id"],
        unique=True,
        sqlite_where=NOT_ENDED,
        postgresql_where=NOT_ENDED,
    )


def downgrade() -> None:
    op.drop_table("quarantine")
    op.drop_table("recovery_event")
