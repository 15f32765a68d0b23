"""Models of runs: a sweep may have several.

Revision 0021 follows 0020.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

from orchestrator.store.sql.column_types import Id

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

VIEWS = {"v_missing": (2, 3)}
"""The versions before and since, by view."""


def upgrade() -> None:
    op.create_table(
        "run_model",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model_id", Id, nullable=False),
        sa.Column("directory", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_run_model_run_id"),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_run_model_model_id"),
        sa.PrimaryKeyConstraint("run_id", "position", name="pk_run_model"),
        sa.UniqueConstraint("run_id", "model_id", name="uq_run_model_run_id_model_id"),
    )
    # Every earlier run has one model.
    op.execute(
        "INSERT INTO run_model (run_id, position, model_id, directory) SELECT id, 0, model_id, model_directory FROM run"
    )
    for view, (_, since) in VIEWS.items():
        _replace(view, since)


def downgrade() -> None:
    # Views first: they name the table. An earlier release sees a run of several models as one of the first.
    for view, (before, _) in VIEWS.items():
        _replace(view, before)
    op.drop_table("run_model")


def _replace(view: str, version: int) -> None:
    op.execute(f"DROP VIEW {view}")
    file = Path(__file__).resolve().parents[1] / "views" / f"{view}.{version}.sql"
    op.execute(file.read_text(encoding="utf-8"))
