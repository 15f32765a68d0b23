-- What became of the regressions?
SELECT state, count(*) AS regressions, avg(ratio) AS ratio
FROM regression
GROUP BY state
ORDER BY state;
