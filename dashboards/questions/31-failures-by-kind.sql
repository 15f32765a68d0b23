-- Why did attempts fail?
SELECT device.name AS device, attempt.failure_kind, attempt.failure_message, count(*) AS attempts
FROM attempt
JOIN trial ON trial.id = attempt.trial_id
JOIN run_device ON run_device.id = trial.run_device_id
JOIN device ON device.id = run_device.device_id
WHERE attempt.outcome = 'failed'
GROUP BY device.name, attempt.failure_kind, attempt.failure_message
ORDER BY attempts DESC, device.name;
