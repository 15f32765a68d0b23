"""What quantised inputs hold, and the share of numbers that they clipped.

Revision 0028 follows 0027.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.store.sql.column_types import Json

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("preflight_output", sa.Column("input_ranges", Json(), nullable=True))


def downgrade() -> None:
    op.drop_column("preflight_output", "input_ranges")
