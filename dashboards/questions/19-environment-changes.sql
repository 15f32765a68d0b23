-- What changed on the devices, and in which run was it first seen?
SELECT device, substr(CAST(changed_at AS text), 1, 10) AS changed_on, key, was, now, run
FROM v_environment_change
ORDER BY changed_at DESC, device, key;
