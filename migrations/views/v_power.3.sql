CREATE VIEW v_power AS
SELECT
    run.id AS run,
    run.started_at AS run_started_at,
    device.name AS device,
    model.name AS model,
    model_variant.name AS variant,
    runtime.label AS runtime,
    job.settings AS settings,
    trial.key AS trial,
    trial.trial_index AS trial_index,
    attempt.id AS attempt_id,
    power_account.source AS source,
    power_account.kind AS kind,
    power_account.period_s AS period_s,
    power_account.samples AS samples,
    power_account.rate_hz AS rate_hz,
    power_account.idle_w AS idle_w,
    power_account.idle_u95_w AS idle_u95_w,
    power_account.idle_before_w AS idle_before_w,
    power_account.idle_after_w AS idle_after_w,
    power_account.invoked_ratio AS invoked_ratio,
    power_account.is_estimate AS is_estimate,
    power_account.accuracy_ratio AS accuracy_ratio,
    power_account.overhead_cpu_ns AS overhead_cpu_ns,
    attempt.window_end_mono_ns - attempt.window_begin_mono_ns AS window_ns,
    power_account.reason AS reason,
    power_account.energy_reason AS energy_reason,
    power_account.caution AS caution
FROM power_account
JOIN attempt ON attempt.id = power_account.attempt_id
JOIN trial ON trial.id = attempt.trial_id
JOIN job ON job.id = trial.job_id
JOIN run_device ON run_device.id = job.run_device_id
JOIN run ON run.id = run_device.run_id
JOIN device ON device.id = run_device.device_id
JOIN model_variant ON model_variant.id = job.variant_id
JOIN model ON model.id = model_variant.model_id
JOIN runtime ON runtime.id = job.runtime_id
WHERE attempt.counted AND run.excluded_at IS NULL
