-- How often is power read, and what does the reading cost?
SELECT device, source, avg(rate_hz) AS rate_hz, avg(idle_w) AS idle_w, avg(1.0 * overhead_cpu_ns / window_ns) AS cpu_share
FROM v_power
WHERE source IS NOT NULL
GROUP BY device, source
ORDER BY device;
