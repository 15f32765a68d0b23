-- Which devices were absent from whole runs, and why?
SELECT device, reason, count(*) AS runs
FROM v_missing
WHERE trial IS NULL AND device_state = 'failed'
GROUP BY device, reason
ORDER BY runs DESC, device;
