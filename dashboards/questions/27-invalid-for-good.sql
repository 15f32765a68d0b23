-- Which broken conditions did a later attempt not make good?
SELECT run, device, model, variant, trial_index, reason
FROM v_invalid
WHERE trial_state = 'invalid' AND kind = 'measure'
ORDER BY run DESC, device, model, variant, trial_index, ordinal
LIMIT 6;
