"""Who started each run. Leases tell that of earlier runs, and keep telling it.

Revision 0033 follows 0032.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("run", sa.Column("started_by", sa.Text(), nullable=True))


def downgrade() -> None:
    op.execute("ALTER TABLE run DROP COLUMN started_by")
