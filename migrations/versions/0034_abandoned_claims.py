"""How many claims of a submission ended, one after the other, without a word of their daemons.

Revision 0034 follows 0033.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("submission", sa.Column("claims_abandoned", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("submission", "claims_abandoned")
