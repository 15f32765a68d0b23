"""Artifacts by format: which format an artifact has, and each variant beside itself on its sweep's first runtime.

Revision 0006 follows 0005.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


VIEWS_BEFORE = ("v_cell.2", "v_latest.2", "v_variant_compare.3")
VIEWS_AFTER = ("v_cell.3", "v_latest.2", "v_variant_compare.4")


def upgrade() -> None:
    _drop_views()
    op.add_column("model_variant", sa.Column("format", sa.Text(), nullable=True))
    _make_views(VIEWS_AFTER)


def downgrade() -> None:
    _drop_views()
    op.execute("ALTER TABLE model_variant DROP COLUMN format")
    _make_views(VIEWS_BEFORE)


def _drop_views() -> None:
    # PostgreSQL drops no view that another one reads
    op.execute("DROP VIEW v_variant_compare")
    op.execute("DROP VIEW v_latest")
    op.execute("DROP VIEW v_cell")


def _make_views(names: Sequence[str]) -> None:
    for name in names:
        file = Path(__file__).resolve().parents[1] / "views" / f"{name}.sql"
        op.execute(file.read_text(encoding="utf-8"))
