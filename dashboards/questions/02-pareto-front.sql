-- Which cells of a device are worth a choice, between latency and accuracy?
-- Every other cell of the device is beaten by one that is at least as fast and at least as accurate.
SELECT model, variant, runtime, latency_ns / 1e6 AS latency_ms, accuracy, size_bytes
FROM v_pareto
WHERE device = 'demo-pi5-01' AND on_front
ORDER BY model, latency_ns;
