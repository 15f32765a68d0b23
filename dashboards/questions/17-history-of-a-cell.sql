-- How did one cell do over the last nights?
-- A day has several rows if the cell was measured by several runs, such as the confirmation of a suspicion.
SELECT substr(CAST(run_started_at AS text), 1, 10) AS night, value / 1e6 AS latency_ms, trials
FROM v_cell
WHERE device = 'demo-desk-01' AND model = 'digits' AND variant = 'int8' AND runtime = 'tflite-runtime==2.14.0'
AND metric = 'latency_ns' AND kind = 'measure'
ORDER BY run_started_at DESC
LIMIT 7;
