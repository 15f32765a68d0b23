"""Windows: hours within which submissions begin.

Revision 0030 follows 0029.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.store.sql.column_types import Json

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("daemon", sa.Column("windows", Json(), nullable=True))
    op.add_column("submission", sa.Column("time_window", sa.Text(), nullable=True))
    op.add_column("schedule", sa.Column("time_window", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("schedule", "time_window")
    op.drop_column("submission", "time_window")
    op.drop_column("daemon", "windows")
