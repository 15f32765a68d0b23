-- Why did attempts fail?
SELECT device, reason, count(*) AS attempts
FROM v_attempt
WHERE result = 'failed'
GROUP BY device, reason
ORDER BY attempts DESC, device, reason;
