"""Power accounts: which source measured the power of an attempt, how, and why there is no figure; measuring windows.

Revision 0005 follows 0004.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import op

from orchestrator.store.sql.column_types import Id

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# v_cell is what v_latest and v_variant_compare read: the first to be made, the last to go
VIEWS_BEFORE = ("v_cell.1", "v_history.1", "v_latest.1", "v_variant_compare.2")
VIEWS_AFTER = ("v_cell.2", "v_history.2", "v_latest.2", "v_variant_compare.3", "v_power.1")


def upgrade() -> None:
    _drop_shared_views()
    op.add_column("attempt", sa.Column("window_begin_mono_ns", sa.BigInteger()))
    op.add_column("attempt", sa.Column("window_end_mono_ns", sa.BigInteger()))
    op.add_column("measurement", sa.Column("source", sa.Text()))
    op.create_table(
        "power_account",
        sa.Column("attempt_id", Id, sa.ForeignKey("attempt.id", name="fk_power_account_attempt_id"), primary_key=True),
        sa.Column("source", sa.Text()),
        sa.Column("kind", sa.Text()),
        sa.Column("period_s", sa.Double()),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("rate_hz", sa.Double()),
        sa.Column("idle_w", sa.Double()),
        sa.Column("overhead_cpu_ns", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("energy_reason", sa.Text()),
        sa.Column("caution", sa.Text()),
    )
    _make_views(VIEWS_AFTER)


def downgrade() -> None:
    op.execute("DROP VIEW v_power")
    _drop_shared_views()
    op.drop_table("power_account")
    op.execute("ALTER TABLE measurement DROP COLUMN source")
    op.execute("ALTER TABLE attempt DROP COLUMN window_end_mono_ns")
    op.execute("ALTER TABLE attempt DROP COLUMN window_begin_mono_ns")
    _make_views(VIEWS_BEFORE)


def _drop_shared_views() -> None:
    op.execute("DROP VIEW v_variant_compare")
    op.execute("DROP VIEW v_latest")
    op.execute("DROP VIEW v_history")
    op.execute("DROP VIEW v_cell")


def _make_views(names: Sequence[str]) -> None:
    for name in names:
        file = Path(__file__).resolve().parents[1] / "views" / f"{name}.sql"
        op.execute(file.read_text(encoding="utf-8"))
