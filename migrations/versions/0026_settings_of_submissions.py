"""What flags ask of a submitted run, beside the sweep: cells without a result alone.

Revision 0026 follows 0025.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.store.sql.column_types import Json

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("submission", sa.Column("settings", Json(), nullable=True))


def downgrade() -> None:
    op.execute("ALTER TABLE submission DROP COLUMN settings")
