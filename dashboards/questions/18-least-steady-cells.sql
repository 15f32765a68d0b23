-- Which cells moved most over all nights?
SELECT device, model, variant, runtime, max(value) / min(value) AS times, count(*) AS nights
FROM v_cell
WHERE metric = 'latency_ns' AND kind = 'measure'
GROUP BY device, model, variant, runtime
ORDER BY times DESC
LIMIT 5;
