-- Which trials are missing, and why?
SELECT device, state, reason, count(*) AS trials
FROM v_missing
WHERE trial IS NOT NULL
GROUP BY device, state, reason
ORDER BY trials DESC, device, reason;
