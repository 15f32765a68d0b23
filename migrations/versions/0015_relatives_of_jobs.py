"""Relatives of jobs: `v_variant_compare` finds the job of a parent, a base and a first runtime without seeking.

Revision 0015 follows 0014.
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

from orchestrator.store.sql.column_types import Id

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

COLUMNS = ("parent_job_id", "base_job_id", "first_job_id")
RELATE = """
UPDATE job SET
    parent_job_id = (
        SELECT relative.id
        FROM model_variant
        JOIN series AS own ON own.id = job.series_id
        JOIN series AS other
            ON other.setup_sha256 = own.setup_sha256 AND other.variant || '' = model_variant.parent
        JOIN job AS relative ON relative.series_id = other.id AND relative.run_device_id = job.run_device_id
        WHERE model_variant.id = job.variant_id
    ),
    base_job_id = (
        SELECT relative.id
        FROM model_variant
        JOIN series AS own ON own.id = job.series_id
        JOIN series AS other
            ON other.setup_sha256 = own.setup_sha256 AND other.variant || '' = model_variant.base
        JOIN job AS relative ON relative.series_id = other.id AND relative.run_device_id = job.run_device_id
        WHERE model_variant.id = job.variant_id
    ),
    first_job_id = (
        SELECT relative.id
        FROM job AS relative
        WHERE relative.series_id = job.first_series_id AND relative.run_device_id = job.run_device_id
    )
"""


def upgrade() -> None:
    # SQLite adds a reference to a table with rows by a plain statement only.
    kind = Id.compile(op.get_context().dialect)
    for name in COLUMNS:
        op.execute(f"ALTER TABLE job ADD COLUMN {name} {kind} CONSTRAINT fk_job_{name} REFERENCES job (id)")
    op.execute(RELATE)
    _replace(7)


def downgrade() -> None:
    _replace(6)
    for name in reversed(COLUMNS):
        op.execute(f"ALTER TABLE job DROP COLUMN {name}")


def _replace(version: int) -> None:
    op.execute("DROP VIEW v_variant_compare")
    file = Path(__file__).resolve().parents[1] / "views" / f"v_variant_compare.{version}.sql"
    op.execute(file.read_text(encoding="utf-8"))
