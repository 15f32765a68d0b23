-- What did int8 gain over fp32 in the newest run of each device?
-- A ratio below 1 is a gain. On some processors int8 is slower.
SELECT device, model, runtime, value / 1e6 AS int8_ms, base_value / 1e6 AS fp32_ms, ratio_to_base
FROM (
    SELECT
        v_variant_compare.*,
        row_number() OVER (PARTITION BY device, model, runtime, settings ORDER BY run_started_at DESC) AS age
    FROM v_variant_compare
    WHERE variant = 'int8' AND metric = 'latency_ns' AND kind = 'measure'
) AS dated
WHERE age = 1 AND base_value IS NOT NULL
ORDER BY device, model, runtime, settings;
