"""Retention: which runs have lost their raw samples, by whom and when.

Revision 0029 follows 0028.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.store.sql.column_types import UtcTime

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "raw_pruning",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("pruned_by", sa.Text(), nullable=False),
        sa.Column("pruned_at", UtcTime(), nullable=False),
        sa.Column("finished_at", UtcTime(), nullable=True),
        sa.Column("blocks", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_raw_pruning_run_id"),
        sa.PrimaryKeyConstraint("run_id", name="pk_raw_pruning"),
    )


def downgrade() -> None:
    op.drop_table("raw_pruning")
