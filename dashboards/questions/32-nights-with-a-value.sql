-- On how many nights does each cell lack a value?
-- For a lab of one nightly. A cell that never had a value is not here: the missing trials tell it.
SELECT device, model, variant, runtime, (SELECT count(*) FROM night) - count(*) AS nights_without, max(run) AS last_run
FROM v_cell
WHERE metric = 'latency_ns' AND kind = 'measure' AND run IN (SELECT run_id FROM night_run WHERE stage = 'first-look')
GROUP BY device, model, variant, runtime, settings
ORDER BY nights_without DESC, device, model, variant, runtime
LIMIT 6;
