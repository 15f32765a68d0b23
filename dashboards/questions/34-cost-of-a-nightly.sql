-- What does a night cost in device hours, and how much of it are reruns?
SELECT
    substr(CAST(night.began_at AS text), 1, 7) AS month,
    count(DISTINCT night.id) AS nights,
    sum(attempt.duration_ns) / 3.6e12 / count(DISTINCT night.id) AS device_hours_per_night,
    sum(CASE WHEN night_run.stage <> 'first-look' THEN 1.0 * attempt.duration_ns ELSE 0 END) / sum(attempt.duration_ns)
        AS share_of_reruns
FROM night
JOIN night_run ON night_run.night_id = night.id
JOIN run_device ON run_device.run_id = night_run.run_id
JOIN trial ON trial.run_device_id = run_device.id
JOIN attempt ON attempt.trial_id = trial.id
GROUP BY substr(CAST(night.began_at AS text), 1, 7)
ORDER BY month;
