CREATE VIEW v_variant_compare AS
WITH cell AS NOT MATERIALIZED (SELECT * FROM v_cell)
SELECT
    cell.run AS run,
    cell.run_started_at AS run_started_at,
    cell.device AS device,
    cell.model AS model,
    cell.runtime AS runtime,
    cell.settings AS settings,
    cell.kind AS kind,
    cell.metric AS metric,
    cell.unit AS unit,
    cell.variant AS variant,
    cell.trials AS trials,
    cell.value AS value,
    cell.parent AS parent,
    parent.trials AS parent_trials,
    parent.value AS parent_value,
    cell.value / nullif(parent.value, 0) AS ratio_to_parent,
    cell.base AS base,
    base.trials AS base_trials,
    base.value AS base_value,
    cell.value / nullif(base.value, 0) AS ratio_to_base
FROM cell
LEFT JOIN cell AS parent
    ON parent.run = cell.run AND parent.device = cell.device AND parent.model = cell.model
    AND parent.runtime = cell.runtime AND parent.settings = cell.settings AND parent.kind = cell.kind
    AND parent.metric = cell.metric AND parent.variant = cell.parent
LEFT JOIN cell AS base
    ON base.run = cell.run AND base.device = cell.device AND base.model = cell.model
    AND base.runtime = cell.runtime AND base.settings = cell.settings AND base.kind = cell.kind
    AND base.metric = cell.metric AND base.variant = cell.base
