-- What has become slower, and nobody has settled it?
-- Who acknowledges a regression knows it, and has not settled it: it stays here until it is accepted, fixed or
-- invalid.
SELECT device, model, variant, runtime, ratio, state, first_night
FROM v_open_regressions
WHERE metric = 'latency_ns' AND direction = 'rose'
ORDER BY first_night DESC, device, model, variant, runtime;
