CREATE VIEW v_open_regressions AS
SELECT
    regression.id AS regression,
    regression.nightly,
    regression.state,
    device.name AS device,
    model.name AS model,
    series.variant,
    series.runtime,
    series.settings,
    regression.metric,
    regression.direction,
    regression.ratio,
    regression.ratio_low,
    regression.ratio_high,
    regression.baseline_trials,
    regression.candidate_trials,
    regression.baseline_run_id AS baseline_run,
    regression.candidate_run_id AS candidate_run,
    regression.first_night_id AS first_night,
    first_night.began_at AS first_night_began_at,
    regression.confirmed_night_id AS confirmed_night,
    confirmed_night.began_at AS confirmed_night_began_at,
    regression.series_id
FROM regression
JOIN series ON series.id = regression.series_id
JOIN device ON device.id = series.device_id
JOIN model ON model.id = series.model_id
JOIN night AS first_night ON first_night.id = regression.first_night_id
LEFT JOIN night AS confirmed_night ON confirmed_night.id = regression.confirmed_night_id
WHERE regression.state IN ('confirmed', 'acknowledged')
