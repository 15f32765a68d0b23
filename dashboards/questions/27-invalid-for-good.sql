-- Which broken conditions did a later attempt not make good?
-- A row for each broken condition of each attempt: a trial that was tried twice has two.
SELECT run, device, model, variant, trial_index, reason
FROM v_invalid
WHERE trial_state = 'invalid' AND kind = 'measure'
ORDER BY run DESC, device, model, variant, trial_index, ordinal
LIMIT 6;
