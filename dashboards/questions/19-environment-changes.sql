-- What changed on the devices, and in which run was it first seen?
SELECT device, substr(CAST(changed_at AS text), 1, 10) AS changed_on, fact, value_before, value_after, first_run
FROM v_env_changes
ORDER BY changed_at DESC, device, fact;
