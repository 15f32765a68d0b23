-- How much accuracy does each variant lose against the variant that it was made from?
-- The most that it has ever lost, on any device and in any run.
SELECT model, variant, base, max(base_value - value) AS accuracy_lost
FROM v_variant_compare
WHERE metric = 'accuracy_top1' AND kind = 'preflight' AND variant <> base
GROUP BY model, variant, base
ORDER BY model, accuracy_lost;
