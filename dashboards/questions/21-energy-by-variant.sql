-- How much energy does one inference take, by variant?
-- Devices without a power source have no figure. Figures of two sources are not comparable, so each has its own row.
SELECT device, source, model, variant, min(value) AS energy_mj
FROM v_latest
WHERE metric = 'energy_mj' AND kind = 'measure' AND model = 'digits'
GROUP BY device, source, model, variant
ORDER BY device, energy_mj;
