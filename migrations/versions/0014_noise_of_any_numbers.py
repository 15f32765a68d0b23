"""Noise of any numbers: no value of a device keeps `v_noise` from answering.

Revision 0014 follows 0013.
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _replace(2)


def downgrade() -> None:
    _replace(1)


def _replace(version: int) -> None:
    op.execute("DROP VIEW v_noise")
    file = Path(__file__).resolve().parents[1] / "views" / f"v_noise.{version}.sql"
    op.execute(file.read_text(encoding="utf-8"))
