"""Meters of the controller: idle times of devices, and how the clocks of meter and device were aligned.

Revision 0024 follows 0023.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.store.sql.column_types import Json

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("power_account", sa.Column("idle_windows", Json(), nullable=True))
    op.add_column("power_account", sa.Column("clock_offset_ns", sa.BigInteger(), nullable=True))
    op.add_column("power_account", sa.Column("clock_uncertainty_ns", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    for name in ("clock_uncertainty_ns", "clock_offset_ns", "idle_windows"):
        op.execute(f"ALTER TABLE power_account DROP COLUMN {name}")
