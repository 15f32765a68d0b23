"""Machines: which names of a database are one machine, which leases share it, which attempts had it for themselves.

Revision 0008 follows 0007.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("device", sa.Column("machine", sa.Text(), nullable=True))
    op.add_column("lease", sa.Column("shares_machine", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("attempt", sa.Column("exclusive", sa.Boolean(), nullable=True))


def downgrade() -> None:
    op.execute("ALTER TABLE attempt DROP COLUMN exclusive")
    op.execute("ALTER TABLE lease DROP COLUMN shares_machine")
    op.execute("ALTER TABLE device DROP COLUMN machine")
