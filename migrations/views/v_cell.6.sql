CREATE VIEW v_cell AS
SELECT
    run.id AS run,
    run.started_at AS run_started_at,
    device.name AS device,
    model.name AS model,
    series.variant AS variant,
    series.runtime AS runtime,
    series.settings AS settings,
    cell_value.kind AS kind,
    cell_value.metric AS metric,
    cell_value.unit AS unit,
    cell_value.trials AS trials,
    cell_value.value AS value,
    cell_value.value_min AS value_min,
    cell_value.value_max AS value_max,
    model_variant.parent AS parent,
    model_variant.base AS base,
    model_variant.sha256 AS model_sha256,
    model_variant.size_bytes AS size_bytes,
    cell_value.source AS source,
    model_variant.format AS format,
    cell_value.job_id AS job_id,
    metric.better AS better
FROM cell_value
JOIN job ON job.id = cell_value.job_id
JOIN series ON series.id = job.series_id
JOIN device ON device.id = series.device_id
JOIN model ON model.id = series.model_id
JOIN model_variant ON model_variant.id = job.variant_id
JOIN run_device ON run_device.id = job.run_device_id
JOIN run ON run.id = run_device.run_id
LEFT JOIN metric ON metric.name = cell_value.metric
WHERE run.excluded_at IS NULL
