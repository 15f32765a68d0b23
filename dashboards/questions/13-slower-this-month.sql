-- What is slower this month than last month, whether or not a night said so?
-- The month is that of the newest run. Only months in which a cell was measured on five nights are compared.
SELECT device, model, variant, runtime, new_ms, old_ms, new_ms / old_ms AS ratio
FROM (
    SELECT
        device, model, variant, runtime,
        avg(CASE WHEN month = newest THEN value END) / 1e6 AS new_ms,
        avg(CASE WHEN month < newest THEN value END) / 1e6 AS old_ms,
        count(CASE WHEN month = newest THEN 1 END) AS new_nights,
        count(CASE WHEN month < newest THEN 1 END) AS old_nights
    FROM (
        SELECT
            v_cell.*,
            substr(CAST(run_started_at AS text), 1, 7) AS month,
            (SELECT substr(CAST(max(started_at) AS text), 1, 7) FROM run) AS newest
        FROM v_cell
        WHERE metric = 'latency_ns' AND kind = 'measure'
    ) AS dated
    GROUP BY device, model, variant, runtime
) AS compared
WHERE new_nights >= 5 AND old_nights >= 5 AND new_ms > 1.05 * old_ms
ORDER BY ratio DESC;
