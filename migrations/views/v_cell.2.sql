CREATE VIEW v_cell AS
WITH ranked AS (
    SELECT
        run.id AS run,
        run.started_at AS run_started_at,
        device.name AS device,
        trial.kind AS kind,
        measurement.metric AS metric,
        measurement.unit AS unit,
        trial.job_id AS job_id,
        measurement.value AS value,
        coalesce(measurement.source, '') AS source,
        -- partitions begin with what people filter by, so that databases apply the filter before they sort
        row_number() OVER (
            PARTITION BY run.id, device.name, measurement.metric, trial.kind, trial.job_id ORDER BY measurement.value
        ) AS place,
        count(*) OVER (PARTITION BY run.id, device.name, measurement.metric, trial.kind, trial.job_id) AS trials
    FROM measurement
    JOIN attempt ON attempt.id = measurement.attempt_id
    JOIN trial ON trial.id = attempt.trial_id
    JOIN run_device ON run_device.id = trial.run_device_id
    JOIN run ON run.id = run_device.run_id
    JOIN device ON device.id = run_device.device_id
    WHERE attempt.counted
),
summarised AS (
    SELECT
        run, run_started_at, device, kind, metric, unit, job_id, place, trials,
        avg(CASE WHEN place IN ((trials + 1) / 2, (trials + 2) / 2) THEN value END)
            OVER (PARTITION BY run, device, metric, kind, job_id) AS value,
        min(value) OVER (PARTITION BY run, device, metric, kind, job_id) AS value_min,
        max(value) OVER (PARTITION BY run, device, metric, kind, job_id) AS value_max,
        min(source) OVER (PARTITION BY run, device, metric, kind, job_id) AS source_min,
        max(source) OVER (PARTITION BY run, device, metric, kind, job_id) AS source_max
    FROM ranked
)
SELECT
    summarised.run AS run,
    summarised.run_started_at AS run_started_at,
    summarised.device AS device,
    model.name AS model,
    model_variant.name AS variant,
    runtime.label AS runtime,
    job.settings AS settings,
    summarised.kind AS kind,
    summarised.metric AS metric,
    summarised.unit AS unit,
    summarised.trials AS trials,
    summarised.value AS value,
    summarised.value_min AS value_min,
    summarised.value_max AS value_max,
    model_variant.parent AS parent,
    model_variant.base AS base,
    model_variant.sha256 AS model_sha256,
    model_variant.size_bytes AS size_bytes,
    CASE WHEN source_min = source_max THEN nullif(source_min, '') ELSE 'several' END AS source
FROM summarised
JOIN job ON job.id = summarised.job_id
JOIN model_variant ON model_variant.id = job.variant_id
JOIN model ON model.id = model_variant.model_id
JOIN runtime ON runtime.id = job.runtime_id
WHERE summarised.place = 1
