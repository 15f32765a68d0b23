CREATE VIEW v_noise AS
SELECT
    run.id AS run,
    run.started_at AS run_started_at,
    device.name AS device,
    model.name AS model,
    series.variant AS variant,
    series.runtime AS runtime,
    series.settings AS settings,
    cell_value.metric AS metric,
    cell_value.unit AS unit,
    cell_value.trials AS trials,
    cell_value.value AS value,
    cell_value.value_min AS value_min,
    cell_value.value_max AS value_max,
    CASE
        WHEN cell_value.trials BETWEEN 2 AND 25 AND cell_value.value > 0 AND cell_value.value_min >= 0
            AND coalesce(cell_value.source, '') <> 'several'
            -- A device may report any number: a ratio beyond all numbers would end the whole answer on PostgreSQL.
            AND CASE WHEN cell_value.value < 1 THEN cell_value.value_max <= cell_value.value * 1e307 ELSE 1 = 1 END
        THEN (cell_value.value_max - cell_value.value_min) / cell_value.value
            -- the mean range of as many normal values with a standard deviation of 1
            / CASE cell_value.trials
                WHEN 2 THEN 1.128 WHEN 3 THEN 1.693 WHEN 4 THEN 2.059 WHEN 5 THEN 2.326 WHEN 6 THEN 2.534
                WHEN 7 THEN 2.704 WHEN 8 THEN 2.847 WHEN 9 THEN 2.970 WHEN 10 THEN 3.078 WHEN 11 THEN 3.173
                WHEN 12 THEN 3.258 WHEN 13 THEN 3.336 WHEN 14 THEN 3.407 WHEN 15 THEN 3.472 WHEN 16 THEN 3.532
                WHEN 17 THEN 3.588 WHEN 18 THEN 3.640 WHEN 19 THEN 3.689 WHEN 20 THEN 3.735 WHEN 21 THEN 3.778
                WHEN 22 THEN 3.819 WHEN 23 THEN 3.858 WHEN 24 THEN 3.895 WHEN 25 THEN 3.931
            END
    END AS noise,
    CASE
        WHEN cell_value.trials < 2 THEN 'one trial alone'
        WHEN cell_value.source = 'several' THEN 'trials of several power sources'
        WHEN cell_value.value IS NULL OR cell_value.value <= 0 THEN 'the median is not above 0'
        WHEN cell_value.value_min < 0 THEN 'a value is below 0'
        WHEN CASE WHEN cell_value.value < 1 THEN cell_value.value_max > cell_value.value * 1e307 ELSE 1 = 0 END
        THEN 'the values lie too far apart'
        WHEN cell_value.trials > 25 THEN 'more than 25 trials: ask v_history'
    END AS noise_reason,
    cell_value.source AS source,
    cell_value.job_id AS job_id
FROM cell_value
JOIN job ON job.id = cell_value.job_id
JOIN series ON series.id = job.series_id
JOIN device ON device.id = series.device_id
JOIN model ON model.id = series.model_id
JOIN run_device ON run_device.id = job.run_device_id
JOIN run ON run.id = run_device.run_id
WHERE cell_value.kind = 'measure' AND run.excluded_at IS NULL
