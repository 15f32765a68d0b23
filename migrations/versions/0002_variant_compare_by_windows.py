"""v_variant_compare by windows: a filter on run, device, metric or kind no longer waits for the whole history.

Revision 0002 follows 0001.
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _replace_by_version(2)


def downgrade() -> None:
    _replace_by_version(1)


def _replace_by_version(version: int) -> None:
    op.execute("DROP VIEW v_variant_compare")
    file = Path(__file__).resolve().parents[1] / "views" / f"v_variant_compare.{version}.sql"
    op.execute(file.read_text(encoding="utf-8"))
