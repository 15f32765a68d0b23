CREATE VIEW v_variant_compare AS
-- One window to a query, over partitions that begin with run, device and metric, instead of joins of v_cell with
-- itself: so filters on these reach the tables on SQLite too. Each cell is there twice: as itself, and as a parent.
WITH keyed AS (
    SELECT v_cell.*, parent AS relative, 1 AS is_row FROM v_cell
    UNION ALL
    SELECT v_cell.*, variant AS relative, 0 AS is_row FROM v_cell
),
beside_parent AS (
    SELECT
        keyed.*,
        max(CASE WHEN is_row = 0 THEN trials END)
            OVER (PARTITION BY run, device, metric, kind, model, runtime, settings, relative) AS parent_trials,
        max(CASE WHEN is_row = 0 THEN value END)
            OVER (PARTITION BY run, device, metric, kind, model, runtime, settings, relative) AS parent_value,
        max(CASE WHEN is_row = 0 THEN coalesce(source, '') END)
            OVER (PARTITION BY run, device, metric, kind, model, runtime, settings, relative) AS parent_source
    FROM keyed
),
beside_base AS (
    SELECT
        beside_parent.*,
        max(CASE WHEN variant = base THEN trials END)
            OVER (PARTITION BY run, device, metric, kind, model, runtime, settings, base) AS base_trials,
        max(CASE WHEN variant = base THEN value END)
            OVER (PARTITION BY run, device, metric, kind, model, runtime, settings, base) AS base_value,
        max(CASE WHEN variant = base THEN coalesce(source, '') END)
            OVER (PARTITION BY run, device, metric, kind, model, runtime, settings, base) AS base_source
    FROM beside_parent
)
SELECT
    run, run_started_at, device, model, runtime, settings, kind, metric, unit, variant, trials, value,
    parent, parent_trials, parent_value,
    CASE WHEN coalesce(source, '') = parent_source AND parent_source <> 'several'
        THEN value / nullif(parent_value, 0) END AS ratio_to_parent,
    base, base_trials, base_value,
    CASE WHEN coalesce(source, '') = base_source AND base_source <> 'several'
        THEN value / nullif(base_value, 0) END AS ratio_to_base,
    source, nullif(parent_source, '') AS parent_source, nullif(base_source, '') AS base_source
FROM beside_base
WHERE is_row = 1
