-- What is slower this month than last month, whether or not a night said so?
-- This month is that of the newest run, last month the one before it that has runs. A cell is compared if it was
-- measured on five days of each.
SELECT device, model, variant, runtime, new_ms, old_ms, new_ms / old_ms AS ratio
FROM (
    SELECT
        device, model, variant, runtime,
        avg(CASE WHEN month = newest THEN value END) / 1e6 AS new_ms,
        avg(CASE WHEN month = previous THEN value END) / 1e6 AS old_ms,
        count(DISTINCT CASE WHEN month = newest THEN day END) AS new_days,
        count(DISTINCT CASE WHEN month = previous THEN day END) AS old_days
    FROM (
        SELECT
            v_cell.*, newest, previous,
            substr(CAST(run_started_at AS text), 1, 7) AS month,
            substr(CAST(run_started_at AS text), 1, 10) AS day
        FROM v_cell
        CROSS JOIN (
            SELECT max(month) AS newest, min(month) AS previous
            FROM (
                SELECT DISTINCT substr(CAST(started_at AS text), 1, 7) AS month FROM run ORDER BY month DESC LIMIT 2
            ) AS two
        ) AS months
        WHERE metric = 'latency_ns' AND kind = 'measure'
    ) AS dated
    GROUP BY device, model, variant, runtime, settings
) AS compared
WHERE new_days >= 5 AND old_days >= 5 AND new_ms > 1.05 * old_ms
ORDER BY ratio DESC;
