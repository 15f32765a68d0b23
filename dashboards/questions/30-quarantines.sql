-- Which devices were in quarantine, for how many nights, and who decided?
SELECT
    device.name AS device, quarantine.reason, quarantine.holder,
    (
        SELECT count(*)
        FROM night
        WHERE night.began_at >= quarantine.since
        AND (quarantine.ended_at IS NULL OR night.began_at < quarantine.ended_at)
    ) AS nights,
    CASE WHEN quarantine.ended_at IS NULL THEN 'yes' ELSE 'no' END AS still
FROM quarantine
JOIN device ON device.id = quarantine.device_id
ORDER BY device.name, quarantine.since;
