"""Words of runs: names, notes, tags, commits, exclusions from every view, and what was deleted by whom.

Leases say which controllers have left their devices to themselves.

Revision 0019 follows 0018.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa
from alembic import op

from orchestrator.store.sql.column_types import UtcTime

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

VIEWS = {
    "v_cell": (4, 5),
    "v_history": (3, 4),
    "v_variant_compare": (7, 8),
    "v_power": (1, 2),
    "v_noise": (2, 3),
    "v_missing": (1, 2),
    "v_invalid": (1, 2),
}
"""The versions before and since, by view."""
COLUMNS: Mapping[str, sa.types.TypeEngine[object]] = {
    "name": sa.Text(),
    "note": sa.Text(),
    "noted_by": sa.Text(),
    "noted_at": UtcTime(),
    "git_commit": sa.Text(),
    "git_dirty": sa.Boolean(),
    "excluded_at": UtcTime(),
    "excluded_by": sa.Text(),
    "excluded_reason": sa.Text(),
}
_PLACE = re.compile(r"attempt\.invalid ->> place\.number")


def upgrade() -> None:
    for name, kind in COLUMNS.items():
        op.add_column("run", sa.Column(name, kind, nullable=True))
    op.create_table(
        "run_tag",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("set_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_run_tag_run_id"),
        sa.PrimaryKeyConstraint("run_id", "key", name="pk_run_tag"),
    )
    op.create_table(
        "deleted_run",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("sweep", sa.Text(), nullable=False),
        sa.Column("started_at", UtcTime(), nullable=False),
        sa.Column("deleted_by", sa.Text(), nullable=False),
        sa.Column("deleted_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_deleted_run"),
    )
    op.add_column("lease", sa.Column("left_at", UtcTime(), nullable=True))
    for view, (_, since) in VIEWS.items():
        _replace(view, since)


def downgrade() -> None:
    # Views first: they name the columns. Excluded runs are in every view again.
    for view, (before, _) in VIEWS.items():
        _replace(view, before)
    op.execute("ALTER TABLE lease DROP COLUMN left_at")
    op.drop_table("deleted_run")
    op.drop_table("run_tag")
    for name in reversed(COLUMNS):
        op.execute(f"ALTER TABLE run DROP COLUMN {name}")


def _replace(view: str, version: int) -> None:
    op.execute(f"DROP VIEW {view}")
    file = Path(__file__).resolve().parents[1] / "views" / f"{view}.{version}.sql"
    statement = file.read_text(encoding="utf-8")
    if op.get_context().dialect.name == "sqlite":
        # An SQLite of before 3.38 has no `->>`, and could then not read the file at all.
        statement = _PLACE.sub("json_extract(attempt.invalid, '$[' || place.number || ']')", statement)
    op.execute(statement)
