-- What changed together with each regression: the artifact, or the device?
-- Between the run of the baseline and the run that showed it. Each change of the device has a row of its own. Rows
-- that look alike are cells of different runtimes.
SELECT
    regression.device, regression.model, regression.variant, regression.ratio,
    CASE WHEN old.model_sha256 = new.model_sha256 THEN 'the same' ELSE 'another' END AS artifact,
    coalesce(change.key || ' ' || change.was || ' -> ' || change.now, 'nothing') AS device_change
FROM v_open_regressions AS regression
JOIN v_cell AS new
    ON new.run = regression.candidate_run AND new.device = regression.device AND new.model = regression.model
    AND new.variant = regression.variant AND new.runtime = regression.runtime AND new.settings = regression.settings
    AND new.metric = regression.metric AND new.kind = 'measure'
JOIN v_cell AS old
    ON old.run = regression.baseline_run AND old.device = new.device AND old.model = new.model
    AND old.variant = new.variant AND old.runtime = new.runtime AND old.settings = new.settings
    AND old.metric = new.metric AND old.kind = 'measure'
LEFT JOIN v_environment_change AS change
    ON change.device = new.device AND change.changed_at > old.run_started_at AND change.changed_at <= new.run_started_at
ORDER BY regression.device, regression.model, regression.variant, regression.ratio;
