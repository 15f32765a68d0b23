CREATE VIEW v_latest AS
SELECT
    device.name AS device,
    model.name AS model,
    series.variant AS variant,
    series.runtime AS runtime,
    series.settings AS settings,
    latest_value.kind AS kind,
    latest_value.metric AS metric,
    cell_value.unit AS unit,
    latest_value.run_id AS run,
    latest_value.run_started_at AS run_started_at,
    cell_value.trials AS trials,
    cell_value.value AS value,
    cell_value.value_min AS value_min,
    cell_value.value_max AS value_max,
    model_variant.sha256 AS model_sha256,
    model_variant.size_bytes AS size_bytes,
    cell_value.source AS source,
    metric.better AS better
FROM latest_value
JOIN cell_value
    ON cell_value.job_id = latest_value.job_id AND cell_value.kind = latest_value.kind
    AND cell_value.metric = latest_value.metric
JOIN series ON series.id = latest_value.series_id
JOIN device ON device.id = series.device_id
JOIN model ON model.id = series.model_id
JOIN job ON job.id = latest_value.job_id
JOIN model_variant ON model_variant.id = job.variant_id
LEFT JOIN metric ON metric.name = latest_value.metric
