CREATE VIEW v_history AS
SELECT
    run.id AS run,
    run.started_at AS run_started_at,
    device.name AS device,
    model.name AS model,
    series.variant AS variant,
    series.runtime AS runtime,
    series.settings AS settings,
    trial.key AS trial,
    trial.kind AS kind,
    trial.trial_index AS trial_index,
    attempt.id AS attempt_id,
    attempt.finished_at AS finished_at,
    attempt.stored_at AS stored_at,
    measurement.metric AS metric,
    measurement.unit AS unit,
    measurement.value AS value,
    measurement.n AS n,
    measurement.batch AS batch,
    measurement.p50 AS p50,
    measurement.p50_ci_low AS p50_ci_low,
    measurement.p50_ci_high AS p50_ci_high,
    measurement.p90 AS p90,
    measurement.p99 AS p99,
    measurement.p99_9 AS p99_9,
    measurement.mean AS mean,
    measurement.sd AS sd,
    measurement.mad AS mad,
    measurement.min AS min,
    measurement.max AS max,
    measurement.runtime_sha256 AS runtime_sha256,
    measurement.model_sha256 AS model_sha256,
    measurement.worker_sha256 AS worker_sha256,
    device_snapshot.identity_hash AS identity_hash,
    device_snapshot.environment_hash AS environment_hash,
    measurement.source AS source,
    metric.better AS better
FROM measurement
JOIN attempt ON attempt.id = measurement.attempt_id
JOIN trial ON trial.id = attempt.trial_id
JOIN job ON job.id = trial.job_id
JOIN series ON series.id = job.series_id
JOIN device ON device.id = series.device_id
JOIN model ON model.id = series.model_id
JOIN run_device ON run_device.id = job.run_device_id
JOIN run ON run.id = run_device.run_id
LEFT JOIN device_snapshot ON device_snapshot.id = run_device.snapshot_id
LEFT JOIN metric ON metric.name = measurement.metric
WHERE attempt.counted AND run.excluded_at IS NULL
