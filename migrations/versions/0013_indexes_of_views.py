"""Indexes for the views of broken conditions and of changed environments.

Revision 0013 follows 0012.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

UNFIT = sa.text("NOT counted AND outcome = 'ok'")


def upgrade() -> None:
    op.create_index("ix_run_device_snapshot_id", "run_device", ["snapshot_id"])
    op.create_index("ix_attempt_unfit", "attempt", ["trial_id"], sqlite_where=UNFIT, postgresql_where=UNFIT)


def downgrade() -> None:
    op.drop_index("ix_attempt_unfit", "attempt")
    op.drop_index("ix_run_device_snapshot_id", "run_device")
