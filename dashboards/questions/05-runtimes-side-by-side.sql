-- Which runtime is faster for the same variant on the same device?
-- The ratio is to the first runtime in the order of the sweep (column `first_runtime`): below 1, the runtime of the
-- row is faster.
SELECT device, model, variant, runtime, avg(ratio_to_first_runtime) AS ratio, count(*) AS runs
FROM v_variant_compare
WHERE metric = 'latency_ns' AND kind = 'measure' AND runtime <> first_runtime
GROUP BY device, model, variant, runtime, settings
ORDER BY device, model, variant, runtime, settings;
