-- How many times slower is each device than the fastest one?
-- By the fastest `fp32` cell of each device, whatever its runtime.
SELECT model, device, latency_ms, latency_ms / min(latency_ms) OVER (PARTITION BY model) AS times
FROM (
    SELECT model, device, min(value) / 1e6 AS latency_ms
    FROM v_latest
    WHERE metric = 'latency_ns' AND kind = 'measure' AND variant = 'fp32'
    GROUP BY model, device
) AS best
ORDER BY model, latency_ms;
