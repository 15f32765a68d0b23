CREATE VIEW v_variant_compare AS
-- One window to a query, over partitions that begin with run, device and metric, instead of joins of v_cell with
-- itself: so filters on these reach the tables on SQLite too. Each cell is there twice: as itself, and as a parent.
WITH keyed AS (
    SELECT v_cell.*, parent AS relative, 1 AS is_row FROM v_cell
    UNION ALL
    SELECT v_cell.*, variant AS relative, 0 AS is_row FROM v_cell
),
beside_parent AS (
    SELECT
        keyed.*,
        max(CASE WHEN is_row = 0 THEN trials END)
            OVER (PARTITION BY run, device, metric, kind, model, runtime, settings, relative) AS parent_trials,
        max(CASE WHEN is_row = 0 THEN value END)
            OVER (PARTITION BY run, device, metric, kind, model, runtime, settings, relative) AS parent_value,
        max(CASE WHEN is_row = 0 THEN coalesce(source, '') END)
            OVER (PARTITION BY run, device, metric, kind, model, runtime, settings, relative) AS parent_source
    FROM keyed
),
beside_base AS (
    SELECT
        beside_parent.*,
        max(CASE WHEN variant = base THEN trials END)
            OVER (PARTITION BY run, device, metric, kind, model, runtime, settings, base) AS base_trials,
        max(CASE WHEN variant = base THEN value END)
            OVER (PARTITION BY run, device, metric, kind, model, runtime, settings, base) AS base_value,
        max(CASE WHEN variant = base THEN coalesce(source, '') END)
            OVER (PARTITION BY run, device, metric, kind, model, runtime, settings, base) AS base_source
    FROM beside_parent
),
-- The first job of the same variant with the same settings, by the plan: a job without a value is the first all the same,
-- or ratios of one sweep would have different denominators. Jobs are recorded in the sweep's order.
first_job AS (
    SELECT
        run_device.run_id AS run,
        job.id AS job_id,
        first_value(job.id) OVER runtimes AS first_job_id,
        first_value(runtime.label) OVER runtimes AS first_runtime
    FROM job
    JOIN run_device ON run_device.id = job.run_device_id
    JOIN model_variant ON model_variant.id = job.variant_id
    JOIN runtime ON runtime.id = job.runtime_id
    WINDOW runtimes AS (
        PARTITION BY run_device.run_id, job.run_device_id, model_variant.model_id, model_variant.name, job.settings
        ORDER BY job.id
    )
),
beside_runtime AS (
    SELECT
        beside_base.*,
        first_runtime,
        max(CASE WHEN beside_base.job_id = first_job_id THEN trials END) OVER runtimes AS first_runtime_trials,
        max(CASE WHEN beside_base.job_id = first_job_id THEN value END) OVER runtimes AS first_runtime_value,
        max(CASE WHEN beside_base.job_id = first_job_id THEN coalesce(source, '') END)
            OVER runtimes AS first_runtime_source
    FROM beside_base
    JOIN first_job ON first_job.run = beside_base.run AND first_job.job_id = beside_base.job_id
    WINDOW runtimes AS (PARTITION BY beside_base.run, device, metric, kind, model, variant, settings, is_row)
)
SELECT
    run, run_started_at, device, model, runtime, settings, kind, metric, unit, variant, trials, value,
    parent, parent_trials, parent_value,
    CASE WHEN coalesce(source, '') = parent_source AND parent_source <> 'several'
        THEN value / nullif(parent_value, 0) END AS ratio_to_parent,
    base, base_trials, base_value,
    CASE WHEN coalesce(source, '') = base_source AND base_source <> 'several'
        THEN value / nullif(base_value, 0) END AS ratio_to_base,
    source, nullif(parent_source, '') AS parent_source, nullif(base_source, '') AS base_source,
    format, first_runtime, first_runtime_trials, first_runtime_value,
    CASE WHEN coalesce(source, '') = first_runtime_source AND first_runtime_source <> 'several'
        THEN value / nullif(first_runtime_value, 0) END AS ratio_to_first_runtime
FROM beside_runtime
WHERE is_row = 1
