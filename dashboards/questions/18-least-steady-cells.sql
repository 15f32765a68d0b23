-- Which cells moved most over all runs?
SELECT device, model, variant, runtime, max(value) / min(value) AS times, count(*) AS runs
FROM v_cell
WHERE metric = 'latency_ns' AND kind = 'measure'
GROUP BY device, model, variant, runtime, settings
ORDER BY times DESC
LIMIT 5;
