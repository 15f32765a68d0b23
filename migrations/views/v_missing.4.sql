CREATE VIEW v_missing AS
SELECT
    run.id AS run,
    run.started_at AS run_started_at,
    device.name AS device,
    model.name AS model,
    series.variant AS variant,
    series.runtime AS runtime,
    series.settings AS settings,
    trial.key AS trial,
    trial.trial_index AS trial_index,
    trial.state AS state,
    run_device.state AS device_state,
    CASE trial.state
        WHEN 'skipped' THEN coalesce(nullif(trial.skip_reason, ''), 'its preflight failed')
        WHEN 'failed' THEN coalesce(
            CASE
                WHEN attempt.failure_message <> '' THEN attempt.failure_kind || ': ' || attempt.failure_message
                ELSE attempt.failure_kind
            END,
            'failed'
        )
        WHEN 'invalid' THEN coalesce(
            -- the list of reasons as plain words; the two databases write a list with and without spaces
            nullif(
                replace(replace(trim(CAST(attempt.invalid AS text), '[]"'), '", "', ', '), '","', ', '), ''
            ),
            'invalid'
        )
        WHEN 'running' THEN CASE WHEN run_device.state = 'running' THEN 'running' ELSE 'interrupted' END
        ELSE coalesce(nullif(run_device.error, ''), 'not run')
    END AS reason,
    job.id AS job_id
FROM trial
JOIN job ON job.id = trial.job_id
JOIN series ON series.id = job.series_id
JOIN device ON device.id = series.device_id
JOIN model ON model.id = series.model_id
JOIN run_device ON run_device.id = job.run_device_id
JOIN run ON run.id = run_device.run_id
LEFT JOIN attempt
    ON attempt.trial_id = trial.id
    AND attempt.ordinal = (
        SELECT max(finished.ordinal)
        FROM attempt AS finished
        WHERE finished.trial_id = trial.id AND finished.finished_seq IS NOT NULL
    )
WHERE run.excluded_at IS NULL AND trial.kind = 'measure' AND trial.state NOT IN ('measured', 'spared')
UNION ALL
-- a device that never got a plan has no trials: the whole device is missing, for each model of the run
SELECT
    run.id,
    run.started_at,
    device.name,
    model.name,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    'planned',
    run_device.state,
    coalesce(nullif(run_device.error, ''), 'no plan yet'),
    NULL
FROM run_device
JOIN run ON run.id = run_device.run_id
JOIN device ON device.id = run_device.device_id
JOIN run_model ON run_model.run_id = run.id
JOIN model ON model.id = run_model.model_id
WHERE run_device.plan_sha256 IS NULL AND run.excluded_at IS NULL
