"""Power traces, and what an account says of idle power, of the window and of the source.

Revision 0020 follows 0019.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

from orchestrator.store.sql.column_types import Id

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

COLUMNS = {
    "idle_u95_w": sa.Double(),
    "idle_before_w": sa.Double(),
    "idle_after_w": sa.Double(),
    "invoked_ratio": sa.Double(),
    "is_estimate": sa.Boolean(),
    "accuracy_ratio": sa.Double(),
}


def upgrade() -> None:
    for name, kind in COLUMNS.items():
        op.add_column("power_account", sa.Column(name, kind, nullable=True))
    op.create_table(
        "power_trace",
        sa.Column("attempt_id", Id, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("begin_mono_ns", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("intervals_codec", sa.Text(), nullable=False),
        sa.Column("intervals_crc32", sa.BigInteger(), nullable=False),
        sa.Column("intervals_data", sa.LargeBinary(), nullable=False),
        sa.Column("values_codec", sa.Text(), nullable=False),
        sa.Column("values_crc32", sa.BigInteger(), nullable=False),
        sa.Column("values_data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name="fk_power_trace_attempt_id"),
        sa.PrimaryKeyConstraint("attempt_id", "source", name="pk_power_trace"),
    )
    _replace_view(3)


def downgrade() -> None:
    _replace_view(2)
    op.drop_table("power_trace")
    for name in reversed(COLUMNS):
        op.execute(f"ALTER TABLE power_account DROP COLUMN {name}")


def _replace_view(version: int) -> None:
    op.execute("DROP VIEW v_power")
    file = Path(__file__).resolve().parents[1] / "views" / f"v_power.{version}.sql"
    op.execute(file.read_text(encoding="utf-8"))
