CREATE VIEW v_latest AS
WITH aged AS (
    SELECT
        v_cell.*,
        row_number() OVER (
            PARTITION BY device, model, variant, runtime, settings, kind, metric ORDER BY run_started_at DESC, run DESC
        ) AS age
    FROM v_cell
)
SELECT
    device, model, variant, runtime, settings, kind, metric, unit, run, run_started_at, trials, value, value_min, value_max,
    model_sha256, size_bytes, source
FROM aged
WHERE age = 1
