-- Which conditions spoiled attempts, where, and how much device time was lost?
-- Device time of whole attempts. An attempt that broke two conditions counts for both.
SELECT device, reason, count(*) AS attempts, sum(duration_ns) / 6e10 AS minutes_lost
FROM v_invalid
GROUP BY device, reason
ORDER BY attempts DESC, device;
