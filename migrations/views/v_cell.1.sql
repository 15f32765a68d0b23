CREATE VIEW v_cell AS
WITH ranked AS (
    SELECT
        run_device.run_id AS run_id,
        trial.job_id AS job_id,
        trial.kind AS kind,
        measurement.metric AS metric,
        measurement.unit AS unit,
        measurement.value AS value,
        row_number() OVER (
            PARTITION BY run_device.run_id, trial.job_id, trial.kind, measurement.metric ORDER BY measurement.value
        ) AS place,
        count(*) OVER (PARTITION BY run_device.run_id, trial.job_id, trial.kind, measurement.metric) AS trials,
        min(measurement.value) OVER (
            PARTITION BY run_device.run_id, trial.job_id, trial.kind, measurement.metric
        ) AS value_min,
        max(measurement.value) OVER (
            PARTITION BY run_device.run_id, trial.job_id, trial.kind, measurement.metric
        ) AS value_max
    FROM measurement
    JOIN attempt ON attempt.id = measurement.attempt_id
    JOIN trial ON trial.id = attempt.trial_id
    JOIN run_device ON run_device.id = trial.run_device_id
    WHERE attempt.counted
),
middle AS (
    SELECT
        run_id, job_id, kind, metric, unit, trials, value_min, value_max,
        avg(value) AS value
    FROM ranked
    WHERE place IN ((trials + 1) / 2, (trials + 2) / 2)
    GROUP BY run_id, job_id, kind, metric, unit, trials, value_min, value_max
)
SELECT
    middle.run_id AS run,
    run.started_at AS run_started_at,
    device.name AS device,
    model.name AS model,
    model_variant.name AS variant,
    runtime.label AS runtime,
    job.settings AS settings,
    middle.kind AS kind,
    middle.metric AS metric,
    middle.unit AS unit,
    middle.trials AS trials,
    middle.value AS value,
    middle.value_min AS value_min,
    middle.value_max AS value_max,
    model_variant.parent AS parent,
    model_variant.base AS base,
    model_variant.sha256 AS model_sha256,
    model_variant.size_bytes AS size_bytes
FROM middle
JOIN job ON job.id = middle.job_id
JOIN run_device ON run_device.id = job.run_device_id
JOIN run ON run.id = middle.run_id
JOIN device ON device.id = run_device.device_id
JOIN model_variant ON model_variant.id = job.variant_id
JOIN model ON model.id = model_variant.model_id
JOIN runtime ON runtime.id = job.runtime_id
