CREATE VIEW v_pareto AS
WITH point AS (
    SELECT
        series.id AS series_id,
        series.device_id AS device_id,
        series.model_id AS model_id,
        series.variant AS variant,
        series.runtime AS runtime,
        series.settings AS settings,
        latest_value.job_id AS job_id,
        latest_value.run_id AS run,
        latest_value.run_started_at AS run_started_at,
        latency.trials AS trials,
        latency.value AS latency_ns,
        accuracy.metric AS accuracy_metric,
        accuracy.value AS accuracy,
        energy.value AS energy_mj,
        energy.source AS source,
        model_variant.size_bytes AS size_bytes
    FROM latest_value
    JOIN series ON series.id = latest_value.series_id
    JOIN job ON job.id = latest_value.job_id
    JOIN model_variant ON model_variant.id = job.variant_id
    JOIN cell_value AS latency
        ON latency.job_id = latest_value.job_id AND latency.kind = 'measure' AND latency.metric = 'latency_ns'
    -- of the same job: an accuracy of another artifact would say nothing of this latency
    LEFT JOIN cell_value AS accuracy
        ON accuracy.job_id = latest_value.job_id AND substr(accuracy.metric, 1, 9) = 'accuracy_'
        AND accuracy.kind = (
            SELECT min(kinds.kind)
            FROM cell_value AS kinds
            WHERE kinds.job_id = accuracy.job_id AND kinds.metric = accuracy.metric
        )
    LEFT JOIN cell_value AS energy
        ON energy.job_id = latest_value.job_id AND energy.kind = 'measure' AND energy.metric = 'energy_mj'
    WHERE latest_value.kind = 'measure' AND latest_value.metric = 'latency_ns'
),
judged AS (
    SELECT
        point.*,
        (
            SELECT count(*)
            FROM point AS other
            WHERE other.device_id = point.device_id AND other.model_id = point.model_id
            AND other.accuracy_metric = point.accuracy_metric
            AND other.latency_ns <= point.latency_ns AND other.accuracy >= point.accuracy
            AND (other.latency_ns < point.latency_ns OR other.accuracy > point.accuracy)
        ) AS better
    FROM point
)
SELECT
    device.name AS device,
    model.name AS model,
    judged.variant AS variant,
    judged.runtime AS runtime,
    judged.settings AS settings,
    judged.latency_ns AS latency_ns,
    judged.trials AS trials,
    judged.accuracy_metric AS accuracy_metric,
    judged.accuracy AS accuracy,
    judged.size_bytes AS size_bytes,
    judged.energy_mj AS energy_mj,
    judged.source AS source,
    CASE WHEN judged.accuracy IS NOT NULL THEN judged.better END AS better,
    CASE WHEN judged.accuracy IS NOT NULL THEN judged.better = 0 END AS on_front,
    CASE WHEN judged.accuracy IS NULL THEN 'the run has no accuracy of the cell' END AS on_front_reason,
    judged.run AS run,
    judged.run_started_at AS run_started_at,
    judged.series_id AS series_id
FROM judged
JOIN device ON device.id = judged.device_id
JOIN model ON model.id = judged.model_id
