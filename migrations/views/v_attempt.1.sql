CREATE VIEW v_attempt AS
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
    CASE
        WHEN attempt.counted THEN 'counted'
        WHEN attempt.outcome = 'failed' THEN 'failed'
        WHEN attempt.outcome = 'ok' AND CAST(attempt.invalid AS text) <> '[]' THEN 'invalid'
        WHEN attempt.outcome = 'ok' THEN 'surplus'
        WHEN trial.state = 'running' AND run_device.state = 'running' AND NOT EXISTS (
            SELECT 1 FROM attempt AS later WHERE later.trial_id = attempt.trial_id AND later.ordinal > attempt.ordinal
        ) THEN 'running'
        ELSE 'interrupted'
    END AS result,
    CASE
        WHEN attempt.counted THEN NULL
        WHEN attempt.outcome = 'failed' THEN CASE
            WHEN attempt.failure_message <> '' THEN attempt.failure_kind || ': ' || attempt.failure_message
            ELSE coalesce(attempt.failure_kind, 'failed')
        END
        WHEN attempt.outcome = 'ok' AND CAST(attempt.invalid AS text) <> '[]' THEN
            -- the list of reasons as plain words; the two databases write a list with and without spaces
            replace(replace(trim(CAST(attempt.invalid AS text), '[]"'), '", "', ', '), '","', ', ')
        WHEN attempt.outcome = 'ok' THEN 'another attempt of the trial counts'
        ELSE 'no end on record'
    END AS reason,
    attempt.started_at AS started_at,
    attempt.finished_at AS finished_at,
    attempt.stored_at AS stored_at,
    attempt.duration_ns AS duration_ns,
    attempt.failure_kind AS failure_kind,
    attempt.failure_signal AS failure_signal,
    attempt.failure_exit_code AS failure_exit_code,
    job.id AS job_id
FROM attempt
JOIN trial ON trial.id = attempt.trial_id
JOIN job ON job.id = trial.job_id
JOIN series ON series.id = job.series_id
JOIN device ON device.id = series.device_id
JOIN model ON model.id = series.model_id
JOIN run_device ON run_device.id = job.run_device_id
JOIN run ON run.id = run_device.run_id
WHERE run.excluded_at IS NULL
