-- How noisy is each device?
-- The noise is the standard deviation of trials over their median. A difference below about three times the noise needs
-- many trials. A cell counts once for each run.
SELECT device, avg(noise) AS noise, max(noise) AS worst, count(*) AS cells
FROM v_noise
WHERE metric = 'latency_ns' AND noise IS NOT NULL
GROUP BY device
ORDER BY noise;
