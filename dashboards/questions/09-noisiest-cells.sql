-- Which cells are the noisiest?
SELECT device, model, variant, runtime, avg(noise) AS noise, count(*) AS runs
FROM v_noise
WHERE metric = 'latency_ns' AND noise IS NOT NULL
GROUP BY device, model, variant, runtime, settings
ORDER BY noise DESC
LIMIT 5;
