-- How many nights did it take until a regression was settled?
-- Rows that look alike are cells of different runtimes.
SELECT
    device.name AS device, model.name AS model, series.variant, regression.state,
    (
        SELECT count(*)
        FROM night
        WHERE night.nightly = regression.nightly AND night.began_at > first_night.began_at AND night.began_at <= event.at
    ) AS nights
FROM regression
JOIN regression_event AS event ON event.regression_id = regression.id AND event.state = regression.state
JOIN night AS first_night ON first_night.id = regression.first_night_id
JOIN series ON series.id = regression.series_id
JOIN device ON device.id = series.device_id
JOIN model ON model.id = series.model_id
WHERE regression.state IN ('fixed', 'accepted', 'invalid')
ORDER BY nights DESC, device, model, variant
LIMIT 8;
