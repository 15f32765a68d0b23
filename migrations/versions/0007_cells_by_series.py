"""Cells by series: values of cells and places of the newest values as tables, so that views rank no measurements.

Revision 0007 follows 0006.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op

from orchestrator.store.sql.column_types import Id, Json, UtcTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

VIEWS_BEFORE = ("v_cell.3", "v_history.2", "v_latest.2", "v_variant_compare.4")
VIEWS_AFTER = ("v_cell.4", "v_history.3", "v_latest.3", "v_variant_compare.5")

# Bounds the memory: each slice of jobs is sorted by itself.
JOBS_AT_ONCE = 500

JOBS = sa.text(
    """
SELECT
    job.id, job.key, job.run_device_id, job.settings, job.variant_id, job.runtime_id,
    run_device.device_id, model_variant.model_id, model_variant.name AS variant, runtime.label AS runtime
FROM job
JOIN run_device ON run_device.id = job.run_device_id
JOIN model_variant ON model_variant.id = job.variant_id
JOIN runtime ON runtime.id = job.runtime_id
WHERE job.id > :after
ORDER BY job.id
LIMIT :limit
"""
).columns(settings=Json())
"""In pages, because a cursor that stays open would keep its rows while the jobs are written."""
SET_SERIES = sa.text("UPDATE job SET series_id = :series, first_series_id = :first WHERE id = :job")
SET_CELL_VALUES = sa.text(
    """
INSERT INTO cell_value (job_id, kind, metric, unit, trials, value, value_min, value_max, source)
SELECT
    job_id, kind, metric,
    max(CASE WHEN place = 1 THEN unit END),
    max(trials),
    avg(CASE WHEN place IN ((trials + 1) / 2, (trials + 2) / 2) THEN value END),
    min(value),
    max(value),
    CASE WHEN min(source) = max(source) THEN nullif(min(source), '') ELSE 'several' END
FROM (
    SELECT
        trial.job_id, trial.kind, measurement.metric, measurement.unit, measurement.value,
        coalesce(measurement.source, '') AS source,
        row_number() OVER (
            PARTITION BY trial.job_id, trial.kind, measurement.metric ORDER BY measurement.value
        ) AS place,
        count(*) OVER (PARTITION BY trial.job_id, trial.kind, measurement.metric) AS trials
    FROM trial
    JOIN attempt ON attempt.trial_id = trial.id AND attempt.counted
    JOIN measurement ON measurement.attempt_id = attempt.id
    WHERE trial.job_id BETWEEN :first AND :last
) AS ranked
GROUP BY job_id, kind, metric
"""
)
SET_LATEST_VALUES = """
INSERT INTO latest_value (series_id, kind, metric, job_id, run_id, run_started_at)
SELECT series_id, kind, metric, job_id, run_id, started_at
FROM (
    SELECT
        job.series_id, cell_value.kind, cell_value.metric, cell_value.job_id, run.id AS run_id, run.started_at,
        row_number() OVER (
            PARTITION BY job.series_id, cell_value.kind, cell_value.metric
            ORDER BY run.started_at DESC, run.id DESC, job.id
        ) AS age
    FROM cell_value
    JOIN job ON job.id = cell_value.job_id
    JOIN run_device ON run_device.id = job.run_device_id
    JOIN run ON run.id = run_device.run_id
) AS aged
WHERE age = 1
"""


def upgrade() -> None:
    _drop_views()
    _create_series()
    _create_values()
    _fill()
    _make_views(VIEWS_AFTER)


def downgrade() -> None:
    _drop_views()
    op.drop_table("latest_value")
    op.drop_table("cell_value")
    op.drop_index("uq_job_series_id_run_device_id", table_name="job")
    op.execute("ALTER TABLE job DROP COLUMN first_series_id")
    op.execute("ALTER TABLE job DROP COLUMN series_id")
    op.drop_table("series")
    _make_views(VIEWS_BEFORE)


def _create_series() -> None:
    op.create_table(
        "series",
        sa.Column("id", Id, nullable=False),
        sa.Column("device_id", Id, nullable=False),
        sa.Column("model_id", Id, nullable=False),
        sa.Column("variant", sa.Text(), nullable=False),
        sa.Column("runtime", sa.Text(), nullable=False),
        sa.Column("settings", Json(), nullable=False),
        sa.Column("setup_sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name="fk_series_device_id"),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_series_model_id"),
        sa.PrimaryKeyConstraint("id", name="pk_series"),
        sa.UniqueConstraint("setup_sha256", "variant", name="uq_series_setup_sha256_variant"),
    )
    op.create_index("ix_series_device_id_model_id", "series", ["device_id", "model_id"])
    op.create_index("ix_series_variant", "series", ["variant"])
    kind = Id.compile(op.get_context().dialect)
    for name in ("series_id", "first_series_id"):
        op.execute(f"ALTER TABLE job ADD COLUMN {name} {kind} CONSTRAINT fk_job_{name} REFERENCES series (id)")
    op.create_index("uq_job_series_id_run_device_id", "job", ["series_id", "run_device_id"], unique=True)


def _create_values() -> None:
    op.create_table(
        "cell_value",
        sa.Column("job_id", Id, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=True),
        sa.Column("trials", sa.Integer(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("value_min", sa.Double(), nullable=True),
        sa.Column("value_max", sa.Double(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_cell_value_job_id"),
        sa.PrimaryKeyConstraint("job_id", "kind", "metric", name="pk_cell_value"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "latest_value",
        sa.Column("series_id", Id, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("job_id", Id, nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("run_started_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_latest_value_series_id"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_latest_value_job_id"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_latest_value_run_id"),
        sa.PrimaryKeyConstraint("series_id", "kind", "metric", name="pk_latest_value"),
        sqlite_with_rowid=False,
    )


def _fill() -> None:
    connection = op.get_bind()
    known: dict[tuple[Any, ...], int] = {}
    last = 0
    first: dict[tuple[Any, ...], int] = {}
    taken: set[tuple[int, int]] = set()
    while rows := connection.execute(JOBS, {"after": last, "limit": JOBS_AT_ONCE}).all():
        before, last = last, rows[-1].id
        jobs = []
        for row in rows:
            series = _series(connection, known, row)
            # Older releases took sweeps with 0.0 beside -0.0. A second job of one device has a series by its own key.
            apart = row.key if (row.run_device_id, series) in taken else None
            if apart is not None:
                series = _series(connection, known, row, apart)
            taken.add((row.run_device_id, series))
            alike = (row.run_device_id, row.model_id, row.variant, _canonical(_stable(row.settings)), apart)
            jobs.append({"job": row.id, "series": series, "first": first.setdefault(alike, series)})
        connection.execute(SET_SERIES, jobs)
        connection.execute(SET_CELL_VALUES, {"first": before + 1, "last": last})
    connection.execute(sa.text(SET_LATEST_VALUES))


def _series(
    connection: sa.Connection, known: dict[tuple[Any, ...], int], row: sa.Row[Any], apart: str | None = None
) -> int:
    """Return the id of a job's series, recorded at the first job."""
    place = [row.device_id, row.model_id, row.runtime, _stable(row.settings), *([] if apart is None else [apart])]
    setup = hashlib.sha256(_canonical(place).encode()).hexdigest()
    key = (row.device_id, row.model_id, setup, row.variant)
    if key not in known:
        columns = ("device_id", "model_id", "setup_sha256", "variant", "runtime", "settings")
        table = sa.table(
            "series", sa.column("id"), *(sa.column(name) for name in columns[:-1]), sa.column("settings", Json())
        )
        values = dict(zip(columns, (*key, row.runtime, row.settings), strict=True))
        known[key] = connection.execute(sa.insert(table).values(values).returning(table.c.id)).scalar_one()
    return known[key]


def _stable(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with each number in the form that both databases give back."""
    return {
        key: value if not isinstance(value, float) else int(Decimal(repr(value))) if abs(value) >= 1e16 else value + 0.0
        for key, value in settings.items()
    }


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _drop_views() -> None:
    # PostgreSQL drops no view that another one reads
    op.execute("DROP VIEW v_variant_compare")
    op.execute("DROP VIEW v_latest")
    op.execute("DROP VIEW v_history")
    op.execute("DROP VIEW v_cell")


def _make_views(names: Sequence[str]) -> None:
    for name in names:
        file = Path(__file__).resolve().parents[1] / "views" / f"{name}.sql"
        op.execute(file.read_text(encoding="utf-8"))
