-- How are the samples of one attempt distributed?
-- The newest such attempt of the device. Bins without a sample have no row, and bins grow with the value.
SELECT bin_low / 1e6 AS from_ms, bin_high / 1e6 AS to_ms, count
FROM sample_hist
WHERE metric = 'latency_ns' AND attempt_id = (
    SELECT max(attempt_id) FROM v_history WHERE device = 'demo-desk-01' AND metric = 'latency_ns' AND p99 IS NOT NULL
)
ORDER BY bin_low;
