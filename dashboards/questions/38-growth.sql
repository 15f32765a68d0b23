-- How fast does the database grow?
SELECT substr(CAST(stored_at AS text), 1, 7) AS month, count(*) AS attempts, sum(n) AS samples
FROM (
    SELECT attempt.stored_at, measurement.n
    FROM attempt
    LEFT JOIN measurement ON measurement.attempt_id = attempt.id AND measurement.metric = 'latency_ns'
) AS stored
GROUP BY substr(CAST(stored_at AS text), 1, 7)
ORDER BY month;
