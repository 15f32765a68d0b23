CREATE VIEW v_environment_change AS
WITH dated AS (
    SELECT
        device.name AS device,
        device_snapshot.id AS id,
        device_snapshot.taken_at AS taken_at,
        device_snapshot.identity_hash AS identity_hash,
        device_snapshot.environment_hash AS environment_hash,
        -- partitions by what people filter by, so that databases apply the filter before they sort
        lag(device_snapshot.id)
            OVER (PARTITION BY device.name ORDER BY device_snapshot.taken_at, device_snapshot.id) AS id_before,
        lag(device_snapshot.identity_hash)
            OVER (PARTITION BY device.name ORDER BY device_snapshot.taken_at, device_snapshot.id) AS identity_before,
        lag(device_snapshot.environment_hash)
            OVER (PARTITION BY device.name ORDER BY device_snapshot.taken_at, device_snapshot.id) AS environment_before
    FROM device_snapshot
    JOIN device ON device.id = device_snapshot.device_id
),
fact AS (
    SELECT 'identity' AS kind, 'machine' AS name
    UNION ALL SELECT 'identity', 'cpu_model'
    UNION ALL SELECT 'identity', 'cpu_count'
    UNION ALL SELECT 'identity', 'memory_bytes'
    UNION ALL SELECT 'identity', 'board_model'
    UNION ALL SELECT 'identity', 'gpus'
    UNION ALL SELECT 'environment', 'kernel'
    UNION ALL SELECT 'environment', 'os_id'
    UNION ALL SELECT 'environment', 'os_version'
    UNION ALL SELECT 'environment', 'libc_name'
    UNION ALL SELECT 'environment', 'libc_version'
    UNION ALL SELECT 'environment', 'python'
    UNION ALL SELECT 'environment', 'governor'
    UNION ALL SELECT 'environment', 'cpu_mhz_max'
    UNION ALL SELECT 'environment', 'system_runtimes'
)
SELECT
    dated.device AS device,
    (SELECT min(run_device.run_id) FROM run_device WHERE run_device.snapshot_id = dated.id) AS run,
    fact.name AS key,
    CAST(before.facts ->> fact.name AS text) AS was,
    CAST(after.facts ->> fact.name AS text) AS now,
    before.taken_at AS last_seen_at,
    dated.taken_at AS changed_at,
    fact.kind AS kind,
    CASE WHEN fact.name IS NULL THEN 'a fact that this view does not know' END AS key_reason,
    dated.environment_before AS environment_before,
    dated.environment_hash AS environment_after,
    dated.identity_before AS identity_before,
    dated.identity_hash AS identity_after,
    dated.id_before AS snapshot_before,
    dated.id AS snapshot_after
FROM dated
JOIN device_snapshot AS before ON before.id = dated.id_before
JOIN device_snapshot AS after ON after.id = dated.id
LEFT JOIN fact
    ON coalesce(CAST(before.facts ->> fact.name AS text), '') <> coalesce(CAST(after.facts ->> fact.name AS text), '')
    AND (
        (fact.kind = 'identity' AND dated.identity_hash <> dated.identity_before)
        OR (fact.kind = 'environment' AND dated.environment_hash <> dated.environment_before)
    )
WHERE dated.identity_hash <> dated.identity_before OR dated.environment_hash <> dated.environment_before
