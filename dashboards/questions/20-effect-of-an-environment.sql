-- Did a new kernel make a device slower?
-- Only trials of the same artifact are compared: a rebuilt variant is another thing. Few trials before or after tell
-- little, and what else changed with the kernel counts too.
WITH level AS (
    SELECT device, environment_hash, model_sha256, runtime, settings, avg(value) / 1e6 AS latency_ms, count(*) AS trials
    FROM v_history
    WHERE model = 'keywords' AND variant = 'int8' AND metric = 'latency_ns' AND kind = 'measure'
    GROUP BY device, environment_hash, model_sha256, runtime, settings
)
SELECT
    change.device, change.now AS kernel, old.latency_ms AS before_ms, new.latency_ms AS after_ms,
    new.latency_ms / old.latency_ms AS ratio, old.trials AS trials_before, new.trials AS trials_after
FROM v_environment_change AS change
JOIN level AS old ON old.device = change.device AND old.environment_hash = change.environment_before
JOIN level AS new
    ON new.device = change.device AND new.environment_hash = change.environment_after
    AND new.model_sha256 = old.model_sha256 AND new.runtime = old.runtime AND new.settings = old.settings
WHERE change.key = 'kernel'
ORDER BY change.device, change.changed_at;
