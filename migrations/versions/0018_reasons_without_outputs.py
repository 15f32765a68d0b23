"""Reasons without outputs, and names and shapes of outputs, by which those of two variants are matched.

Revision 0018 follows 0017.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.store.sql.column_types import Json

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("preflight_output", sa.Column("reason", sa.Text(), nullable=True))
    op.add_column("preflight_output", sa.Column("layout", Json(), nullable=True))


def downgrade() -> None:
    op.drop_column("preflight_output", "layout")
    op.drop_column("preflight_output", "reason")
