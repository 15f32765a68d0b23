CREATE VIEW v_invalid AS
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
    trial.state AS trial_state,
    attempt.id AS attempt_id,
    attempt.ordinal AS ordinal,
    attempt.finished_at AS finished_at,
    attempt.stored_at AS stored_at,
    attempt.duration_ns AS duration_ns,
    -- SQLite and PostgreSQL unfold a list by functions of different names
    attempt.invalid ->> place.number AS reason
FROM attempt
JOIN trial ON trial.id = attempt.trial_id
JOIN job ON job.id = trial.job_id
JOIN series ON series.id = job.series_id
JOIN device ON device.id = series.device_id
JOIN model ON model.id = series.model_id
JOIN run_device ON run_device.id = job.run_device_id
JOIN run ON run.id = run_device.run_id
JOIN (
    SELECT 0 AS number UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3
    UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7
) AS place ON attempt.invalid ->> place.number IS NOT NULL
WHERE run.excluded_at IS NULL AND NOT attempt.counted AND attempt.outcome = 'ok'
