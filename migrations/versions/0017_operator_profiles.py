"""Operator profiles: which operators of a model ran where, how often, and for how long.

Revision 0017 follows 0016.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.store.sql.column_types import Id

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "operator_profile",
        sa.Column("attempt_id", Id, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("placed_on", sa.Text(), nullable=True),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.Column("mean_ns", sa.Double(), nullable=True),
        sa.Column("share", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name="fk_operator_profile_attempt_id"),
        sa.PrimaryKeyConstraint("attempt_id", "position", name="pk_operator_profile"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("operator_profile")
