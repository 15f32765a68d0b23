-- Which devices have no figures of power, and why?
SELECT device, coalesce(reason, energy_reason) AS reason, count(*) AS trials
FROM v_power
WHERE coalesce(reason, energy_reason) IS NOT NULL
GROUP BY device, coalesce(reason, energy_reason)
ORDER BY device;
