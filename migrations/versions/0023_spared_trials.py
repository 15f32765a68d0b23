"""Trials that a stop rule has spared are not missing.

Revision 0023 follows 0022.
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _replace(4)


def downgrade() -> None:
    # Releases before know no such state, and would read no run with a spared trial. The reason stays.
    op.execute("UPDATE trial SET state = 'skipped' WHERE state = 'spared'")
    _replace(3)


def _replace(version: int) -> None:
    op.execute("DROP VIEW v_missing")
    file = Path(__file__).resolve().parents[1] / "views" / f"v_missing.{version}.sql"
    op.execute(file.read_text(encoding="utf-8"))
