-- How many device hours did each person use?
-- Hours in which trials ran; what a lease held idle is not counted. A run that another person resumed counts for both.
SELECT lease.holder, count(DISTINCT lease.run_id) AS runs, sum(attempt.duration_ns) / 3.6e12 AS device_hours
FROM (SELECT DISTINCT holder, run_id, device_id FROM lease WHERE exclusive AND granted_at IS NOT NULL) AS lease
JOIN run_device ON run_device.run_id = lease.run_id AND run_device.device_id = lease.device_id
JOIN trial ON trial.run_device_id = run_device.id
JOIN attempt ON attempt.trial_id = trial.id
GROUP BY lease.holder
ORDER BY device_hours DESC, lease.holder;
