-- How warm do devices get while trials run?
SELECT
    device.name AS device,
    avg(CAST(attempt.conditions_after ->> 'temperature_c' AS double precision)) AS mean_c,
    max(CAST(attempt.conditions_after ->> 'temperature_c' AS double precision)) AS max_c
FROM attempt
JOIN trial ON trial.id = attempt.trial_id
JOIN run_device ON run_device.id = trial.run_device_id
JOIN device ON device.id = run_device.device_id
WHERE trial.kind = 'measure'
GROUP BY device.name
ORDER BY max_c DESC;
