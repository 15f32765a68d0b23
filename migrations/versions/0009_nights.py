"""Nights: baselines, nights with their runs, regressions with their lives, and annotations.

Revision 0009 follows 0008.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

from orchestrator.store.sql.column_types import Id, Json, UtcTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

OPEN = sa.text("state IN ('detected', 'confirmed', 'acknowledged')")


def upgrade() -> None:
    _create_nights()
    _create_annotations()
    _create_baselines()
    _create_regressions()
    file = Path(__file__).resolve().parents[1] / "views" / "v_open_regressions.1.sql"
    op.execute(file.read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("DROP VIEW v_open_regressions")
    op.drop_table("regression_event")
    op.drop_table("regression")
    op.drop_table("baseline")
    op.drop_table("annotation")
    op.drop_table("night_run")
    op.drop_table("night")


def _create_nights() -> None:
    op.create_table(
        "night",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("nightly", sa.Text(), nullable=False),
        sa.Column("began_at", UtcTime(), nullable=False),
        sa.Column("ended_at", UtcTime(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("report", Json(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_night"),
    )
    op.create_index("ix_night_nightly_began_at", "night", ["nightly", "began_at"])
    op.create_table(
        "night_run",
        sa.Column("night_id", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("sweep", sa.Text(), nullable=False),
        sa.Column("look", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["night_id"], ["night.id"], name="fk_night_run_night_id"),
        sa.PrimaryKeyConstraint("night_id", "run_id", name="pk_night_run"),
    )


def _create_annotations() -> None:
    op.create_table(
        "annotation",
        sa.Column("id", Id, nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("device_id", Id, nullable=True),
        sa.Column("series_id", Id, nullable=True),
        sa.Column("run_id", sa.String(length=64), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name="fk_annotation_device_id"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_annotation_run_id"),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_annotation_series_id"),
        sa.PrimaryKeyConstraint("id", name="pk_annotation"),
    )
    op.create_index("ix_annotation_first_day", "annotation", ["first_day"])


def _create_baselines() -> None:
    op.create_table(
        "baseline",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("series_id", Id, nullable=True),
        sa.Column("metric", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("pinned_by", sa.Text(), nullable=False),
        sa.Column("pinned_at", UtcTime(), nullable=False),
        sa.Column("superseded_at", UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_baseline_run_id"),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_baseline_series_id"),
        sa.PrimaryKeyConstraint("id", name="pk_baseline"),
    )
    op.create_index("ix_baseline_name", "baseline", ["name"])


def _create_regressions() -> None:
    op.create_table(
        "regression",
        sa.Column("id", Id, nullable=False),
        sa.Column("nightly", sa.Text(), nullable=False),
        sa.Column("series_id", Id, nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("ratio", sa.Double(), nullable=True),
        sa.Column("ratio_low", sa.Double(), nullable=True),
        sa.Column("ratio_high", sa.Double(), nullable=True),
        sa.Column("baseline_trials", sa.Integer(), nullable=True),
        sa.Column("candidate_trials", sa.Integer(), nullable=True),
        sa.Column("baseline_run_id", sa.String(length=64), nullable=True),
        sa.Column("candidate_run_id", sa.String(length=64), nullable=False),
        sa.Column("first_night_id", sa.String(length=64), nullable=False),
        sa.Column("confirmed_night_id", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["baseline_run_id"], ["run.id"], name="fk_regression_baseline_run_id"),
        sa.ForeignKeyConstraint(["candidate_run_id"], ["run.id"], name="fk_regression_candidate_run_id"),
        sa.ForeignKeyConstraint(["confirmed_night_id"], ["night.id"], name="fk_regression_confirmed_night_id"),
        sa.ForeignKeyConstraint(["first_night_id"], ["night.id"], name="fk_regression_first_night_id"),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_regression_series_id"),
        sa.PrimaryKeyConstraint("id", name="pk_regression"),
    )
    op.create_index("ix_regression_series_id_metric", "regression", ["series_id", "metric"])
    op.create_index(
        "uq_regression_open",
        "regression",
        ["nightly", "series_id", "metric", "direction"],
        unique=True,
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
    op.create_table(
        "regression_event",
        sa.Column("id", Id, nullable=False),
        sa.Column("regression_id", Id, nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("night_id", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["night_id"], ["night.id"], name="fk_regression_event_night_id"),
        sa.ForeignKeyConstraint(["regression_id"], ["regression.id"], name="fk_regression_event_regression_id"),
        sa.PrimaryKeyConstraint("id", name="pk_regression_event"),
    )
    op.create_index("ix_regression_event_regression_id", "regression_event", ["regression_id"])
