-- How many nights were clean, and how many found something?
SELECT substr(CAST(began_at AS text), 1, 7) AS month, exit_code, count(*) AS nights
FROM night
GROUP BY substr(CAST(began_at AS text), 1, 7), exit_code
ORDER BY month, exit_code;
