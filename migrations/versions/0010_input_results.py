"""Results by input: what a model got for each input of a data set.

Revision 0010 follows 0009.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.store.sql.column_types import Id

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "input_result",
        sa.Column("attempt_id", Id, nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("dataset_sha256", sa.String(length=64), nullable=False),
        sa.Column("encoding", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name="fk_input_result_attempt_id"),
        sa.PrimaryKeyConstraint("attempt_id", name="pk_input_result"),
    )


def downgrade() -> None:
    op.drop_table("input_result")
