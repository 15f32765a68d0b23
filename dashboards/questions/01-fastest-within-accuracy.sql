-- Which variant is fastest on each device, if it may lose at most one point of accuracy?
-- `v_pareto` has latency and accuracy of one run side by side. The bound is relative to the most accurate cell of the model.
SELECT device, model, variant, runtime, latency_ms, accuracy
FROM (
    SELECT
        device, model, variant, runtime, latency_ns / 1e6 AS latency_ms, accuracy,
        row_number() OVER (PARTITION BY device, model ORDER BY latency_ns, variant) AS place
    FROM (SELECT v_pareto.*, max(accuracy) OVER (PARTITION BY model) AS best FROM v_pareto) AS cell
    WHERE accuracy >= best - 0.01
) AS ranked
WHERE place = 1
ORDER BY device, model;
