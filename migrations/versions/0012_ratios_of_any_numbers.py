"""Ratios of any numbers: no value of a device keeps `v_variant_compare` from answering.

Revision 0012 follows 0011.
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _replace(6)


def downgrade() -> None:
    _replace(5)


def _replace(version: int) -> None:
    op.execute("DROP VIEW v_variant_compare")
    file = Path(__file__).resolve().parents[1] / "views" / f"v_variant_compare.{version}.sql"
    op.execute(file.read_text(encoding="utf-8"))
