"""Absent metrics: what an attempt could not measure, and why.

Revision 0016 follows 0015.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.store.sql.column_types import Id

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "absent_metric",
        sa.Column("attempt_id", Id, nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name="fk_absent_metric_attempt_id"),
        sa.PrimaryKeyConstraint("attempt_id", "metric", name="pk_absent_metric"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("absent_metric")
