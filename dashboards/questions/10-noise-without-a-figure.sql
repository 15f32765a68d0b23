-- Where is no noise known, and why?
-- A cell counts once for each run and metric.
SELECT device, metric, noise_reason, count(*) AS cells
FROM v_noise
WHERE noise IS NULL
GROUP BY device, metric, noise_reason
ORDER BY cells DESC, device, metric, noise_reason;
