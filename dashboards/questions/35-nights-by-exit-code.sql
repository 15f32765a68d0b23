-- How many nights were clean, and how many found something?
-- 0: nothing got worse. 1: a cell is confirmed worse, does not load or is missing, and nobody has acknowledged it.
-- 3: incomplete. 4: no device or no database could be used. docs/nightly.md has all.
SELECT substr(CAST(began_at AS text), 1, 7) AS month, exit_code, count(*) AS nights
FROM night
GROUP BY substr(CAST(began_at AS text), 1, 7), exit_code
ORDER BY month, exit_code;
