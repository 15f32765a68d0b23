CREATE VIEW v_variant_compare AS
SELECT
    run.id AS run,
    run.started_at AS run_started_at,
    device.name AS device,
    model.name AS model,
    series.runtime AS runtime,
    series.settings AS settings,
    cell_value.kind AS kind,
    cell_value.metric AS metric,
    cell_value.unit AS unit,
    series.variant AS variant,
    cell_value.trials AS trials,
    cell_value.value AS value,
    model_variant.parent AS parent,
    parent_value.trials AS parent_trials,
    parent_value.value AS parent_value,
    CASE WHEN coalesce(cell_value.source, '') = coalesce(parent_value.source, '')
        AND coalesce(parent_value.source, '') <> 'several'
        -- A device may report any number: a ratio beyond all numbers would end the whole answer on PostgreSQL.
        AND (cell_value.value = 0 OR CASE WHEN abs(parent_value.value) < 1
            THEN abs(cell_value.value) <= abs(parent_value.value) * 1e307
            ELSE abs(cell_value.value) >= abs(parent_value.value) * 1e-307 END)
        THEN cell_value.value / nullif(parent_value.value, 0) END AS ratio_to_parent,
    model_variant.base AS base,
    base_value.trials AS base_trials,
    base_value.value AS base_value,
    CASE WHEN coalesce(cell_value.source, '') = coalesce(base_value.source, '')
        AND coalesce(base_value.source, '') <> 'several'
        -- A device may report any number: a ratio beyond all numbers would end the whole answer on PostgreSQL.
        AND (cell_value.value = 0 OR CASE WHEN abs(base_value.value) < 1
            THEN abs(cell_value.value) <= abs(base_value.value) * 1e307
            ELSE abs(cell_value.value) >= abs(base_value.value) * 1e-307 END)
        THEN cell_value.value / nullif(base_value.value, 0) END AS ratio_to_base,
    cell_value.source AS source,
    parent_value.source AS parent_source,
    base_value.source AS base_source,
    model_variant.format AS format,
    first_series.runtime AS first_runtime,
    first_value.trials AS first_runtime_trials,
    first_value.value AS first_runtime_value,
    CASE WHEN coalesce(cell_value.source, '') = coalesce(first_value.source, '')
        AND coalesce(first_value.source, '') <> 'several'
        -- A device may report any number: a ratio beyond all numbers would end the whole answer on PostgreSQL.
        AND (cell_value.value = 0 OR CASE WHEN abs(first_value.value) < 1
            THEN abs(cell_value.value) <= abs(first_value.value) * 1e307
            ELSE abs(cell_value.value) >= abs(first_value.value) * 1e-307 END)
        THEN cell_value.value / nullif(first_value.value, 0) END AS ratio_to_first_runtime,
    metric.better AS better
FROM cell_value
JOIN job ON job.id = cell_value.job_id
JOIN series ON series.id = job.series_id
JOIN device ON device.id = series.device_id
JOIN model ON model.id = series.model_id
JOIN model_variant ON model_variant.id = job.variant_id
JOIN run_device ON run_device.id = job.run_device_id
JOIN run ON run.id = run_device.run_id
LEFT JOIN cell_value AS parent_value
    ON parent_value.job_id = job.parent_job_id AND parent_value.kind = cell_value.kind
    AND parent_value.metric = cell_value.metric
LEFT JOIN cell_value AS base_value
    ON base_value.job_id = job.base_job_id AND base_value.kind = cell_value.kind
    AND base_value.metric = cell_value.metric
LEFT JOIN series AS first_series ON first_series.id = job.first_series_id
LEFT JOIN cell_value AS first_value
    ON first_value.job_id = job.first_job_id AND first_value.kind = cell_value.kind
    AND first_value.metric = cell_value.metric
LEFT JOIN metric ON metric.name = cell_value.metric
WHERE run.excluded_at IS NULL
