"""Metrics with unit and better direction, and the direction beside each value of a view.

Revision 0031 follows 0030.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

from orchestrator.domain.metric import ABOUT, Direction, metric_named

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

_VERSIONS = {"v_cell": (5, 6), "v_history": (4, 5), "v_latest": (3, 4), "v_variant_compare": (8, 9)}


def upgrade() -> None:
    metric = op.create_table(
        "metric",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("better", sa.Text(), nullable=True),
        sa.Column("min_effect", sa.Double(), nullable=False),
        sa.Column("about", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_metric"),
    )
    names = op.get_bind().execute(sa.text("SELECT DISTINCT metric FROM cell_value ORDER BY metric")).scalars().all()
    known = [metric_named(name) for name in names]
    op.bulk_insert(
        metric,
        [
            {
                "name": name,
                "unit": one.unit.value,
                "better": None if one.direction is Direction.NONE else one.direction.value,
                "min_effect": one.min_effect,
                "about": ABOUT.get(name),
            }
            for name, one in zip(names, known, strict=True)
        ],
    )
    _replace(1)


def downgrade() -> None:
    _replace(0)
    op.drop_table("metric")


def _replace(place: int) -> None:
    for view, versions in _VERSIONS.items():
        op.execute(f"DROP VIEW {view}")
        file = Path(__file__).resolve().parents[1] / "views" / f"{view}.{versions[place]}.sql"
        op.execute(file.read_text(encoding="utf-8"))
