-- Who settled regressions, and why?
SELECT event.who, event.state, event.reason, count(*) AS regressions
FROM regression_event AS event
WHERE event.night_id IS NULL
GROUP BY event.who, event.state, event.reason
ORDER BY regressions DESC, event.who, event.state;
