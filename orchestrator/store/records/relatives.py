"""Keep the relatives of jobs in step with the lineage of variants: parent, base and first runtime of the same plan."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, TextClause, bindparam, text

_RELATE = text(
    """
UPDATE job SET
    parent_job_id = (
        SELECT relative.id
        FROM model_variant
        JOIN series AS own ON own.id = job.series_id
        -- An expression, not the column: PostgreSQL without statistics would go through all series of the variant.
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
WHERE job.run_device_id = :run_device
"""
)
_PLANS_OF: TextClause = text("SELECT DISTINCT run_device_id FROM job WHERE variant_id IN :variants").bindparams(
    bindparam("variants", expanding=True)
)


def relate_jobs_of_plans(connection: Connection, run_devices: Sequence[int]) -> None:
    """Record the relatives of the jobs of plans, all of which have their rows."""
    if run_devices:
        connection.execute(_RELATE, [{"run_device": run_device} for run_device in run_devices])


def relate_jobs_of_variants(connection: Connection, variants: Sequence[int]) -> None:
    """Record the relatives of all jobs of variants anew, after another parent or base was declared."""
    if variants:
        relate_jobs_of_plans(connection, connection.execute(_PLANS_OF, {"variants": variants}).scalars().all())
