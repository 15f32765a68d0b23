-- Where is no noise known, and why?
SELECT device, metric, noise_reason, count(*) AS cells
FROM v_noise
WHERE noise IS NULL
GROUP BY device, metric, noise_reason
ORDER BY cells DESC, device, metric, noise_reason;
