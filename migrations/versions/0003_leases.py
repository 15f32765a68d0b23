"""Leases: who may use a device, who waits for it, and the tokens by which late writers are told apart.

Revision 0003 follows 0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from orchestrator.store.sql.column_types import Id, UtcTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UNIQUE_WHERE = {
    "uq_lease_run": sa.text("granted_at IS NOT NULL AND ended_at IS NULL AND exclusive AND run_id IS NOT NULL"),
    "uq_lease_reservation": sa.text("granted_at IS NOT NULL AND ended_at IS NULL AND exclusive AND run_id IS NULL"),
}


def upgrade() -> None:
    op.add_column("device", sa.Column("lease_token", sa.BigInteger(), server_default="0", nullable=False))
    op.create_table(
        "database_identity",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("uuid", sa.String(36), nullable=False),
    )
    op.create_table(
        "lease",
        sa.Column("id", Id, primary_key=True),
        sa.Column("device_id", Id, sa.ForeignKey("device.id", name="fk_lease_device_id"), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("controller", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(64), sa.ForeignKey("run.id", name="fk_lease_run_id")),
        sa.Column("reason", sa.Text()),
        sa.Column("exclusive", sa.Boolean(), nullable=False),
        sa.Column("requested_at", UtcTime(), nullable=False),
        sa.Column("granted_at", UtcTime()),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.Column("ended_at", UtcTime()),
        sa.Column("token", sa.BigInteger()),
    )
    op.create_index("ix_lease_device_id_token", "lease", ["device_id", "token"])
    for name, held in UNIQUE_WHERE.items():
        op.create_index(name, "lease", ["device_id"], unique=True, sqlite_where=held, postgresql_where=held)


def downgrade() -> None:
    op.drop_table("lease")
    op.drop_table("database_identity")
    op.execute("ALTER TABLE device DROP COLUMN lease_token")
