-- How far is the 99th percentile above the median?
-- A 99th percentile needs 299 samples; shorter trials have none.
SELECT device, avg(p99 / p50) AS p99_over_p50, max(p99 / p50) AS worst, count(*) AS trials
FROM v_history
WHERE metric = 'latency_ns' AND kind = 'measure' AND p99 IS NOT NULL
GROUP BY device
ORDER BY p99_over_p50 DESC;
