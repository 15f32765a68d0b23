-- Who decided on regressions, and why?
-- What nights decided themselves (detected, confirmed, fixed …) is left out.
SELECT event.who, event.state, event.reason, count(*) AS regressions
FROM regression_event AS event
WHERE event.night_id IS NULL
GROUP BY event.who, event.state, event.reason
ORDER BY regressions DESC, event.who, event.state;
