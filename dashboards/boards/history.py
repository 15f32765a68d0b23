"""Describe the board of histories and regressions."""

from __future__ import annotations

from dashboards.boards.elements import Board, Events, Kind, Panel, Unit, asked
from dashboards.boards.variables import (
    DEVICE,
    LINE,
    MODEL,
    OF_CELLS,
    OF_DEVICES,
    RUNTIME,
    VARIANT,
    cells_over_time,
)

_P99 = f"""\
SELECT run_started_at AS time, {LINE} AS metric, percentile_cont(0.5) WITHIN GROUP (ORDER BY p99) AS p99_ns
FROM v_history
WHERE $__timeFilter(run_started_at) AND {OF_CELLS} AND metric = 'latency_ns' AND kind = 'measure'
GROUP BY run_started_at, device, variant, runtime, settings
ORDER BY 1, 2"""

_OPEN = f"""\
SELECT
    device, variant, runtime, CAST(settings AS text) AS settings, metric, direction, ratio, ratio_low, ratio_high,
    state, first_night_began_at, baseline_run, candidate_run
FROM v_open_regressions
WHERE {OF_CELLS}
ORDER BY first_night_began_at DESC, device, variant, runtime, settings, metric"""

_STEPS = """\
SELECT date_trunc('day', regression_event.at, 'UTC') AS time, regression_event.state AS metric, count(*) AS regressions
FROM regression_event
JOIN regression ON regression.id = regression_event.regression_id
JOIN series ON series.id = regression.series_id
JOIN device ON device.id = series.device_id
JOIN model ON model.id = series.model_id
WHERE $__timeFilter(regression_event.at) AND model.name IN (${model:sqlstring})
AND device.name = ANY (ARRAY[${device:sqlstring}]::text[])
AND series.variant = ANY (ARRAY[${variant:sqlstring}]::text[])
AND series.runtime = ANY (ARRAY[${runtime:sqlstring}]::text[])
GROUP BY date_trunc('day', regression_event.at, 'UTC'), regression_event.state
ORDER BY 1, 2"""

# Only trials of the same artifact are compared: a rebuilt variant is another thing.
_EFFECTS = f"""\
WITH level AS (
    SELECT
        device, variant, runtime, CAST(settings AS text) AS settings, environment_hash, model_sha256,
        avg(value) / 1e6 AS latency_ms, count(*) AS trials
    FROM v_history
    WHERE {OF_CELLS} AND metric = 'latency_ns' AND kind = 'measure'
    GROUP BY device, variant, runtime, CAST(settings AS text), environment_hash, model_sha256
)
SELECT
    change.changed_at, change.device, new.variant, new.runtime, new.settings, change.key, change.was,
    change.now, old.latency_ms AS before_ms, new.latency_ms AS after_ms,
    new.latency_ms / nullif(old.latency_ms, 0) AS ratio, old.trials AS trials_before, new.trials AS trials_after
FROM v_environment_change AS change
JOIN level AS old ON old.device = change.device AND old.environment_hash = change.environment_before
JOIN level AS new
    ON new.device = change.device AND new.environment_hash = change.environment_after AND new.variant = old.variant
    AND new.runtime = old.runtime AND new.settings = old.settings AND new.model_sha256 = old.model_sha256
WHERE $__timeFilter(change.changed_at)
ORDER BY change.changed_at DESC, change.device, new.variant, new.runtime, new.settings, change.key"""

# Days are of UTC; a note about one day ends with that day. The macro takes a plain name only.
_NOTES = """\
SELECT time, timeend, text, tags
FROM (
    SELECT
        annotation.id, CAST(annotation.first_day AS timestamp) AT TIME ZONE 'UTC' AS time,
        CAST(annotation.last_day + 1 AS timestamp) AT TIME ZONE 'UTC' AS timeend,
        concat_ws(': ', annotation.who, annotation.text) AS text, device.name AS tags
    FROM annotation
    LEFT JOIN device ON device.id = annotation.device_id
    WHERE annotation.device_id IS NULL OR device.name = ANY (ARRAY[${device:sqlstring}]::text[])
) AS note
WHERE $__timeFilter(time) OR $__timeFilter(timeend)
ORDER BY time, id"""

_CHANGES = f"""\
SELECT
    changed_at AS time, device AS tags,
    concat_ws(' ', device, coalesce(key, key_reason), was, '->', coalesce(now, 'unknown')) AS text
FROM v_environment_change
WHERE $__timeFilter(changed_at) AND {OF_DEVICES}
ORDER BY 1, 3"""

_FEW = "A trial has a 99th percentile from 299 samples on. The median of the trials of a run is drawn."

HISTORY = Board(
    "history",
    "History and regressions",
    "How cells did night by night, what changed around them, and which regressions are open.",
    (MODEL, DEVICE, VARIANT, RUNTIME),
    (
        Panel("Latency", (Unit.NANOSECONDS,), cells_over_time("latency_ns", "latency_ns"), width=24),
        Panel("99th percentile of latency", (Unit.NANOSECONDS,), _P99, note=_FEW),
        Panel("Memory at most", (Unit.BYTES,), cells_over_time("rss_bytes_max", "memory_bytes")),
        Panel("Accuracy", (Unit.SHARE,), cells_over_time("accuracy_top1", "accuracy", "preflight")),
        Panel(
            "Steps in the lives of regressions",
            (Unit.COUNT,),
            _STEPS,
            bars=True,
            note="By day in UTC: confirmed by a night, acknowledged or accepted by a person, fixed.",
        ),
        Panel(
            "Open regressions",
            (Unit.RATIO,),
            _OPEN,
            Kind.TABLE,
            24,
            "Candidate over baseline, with the 95 % interval. Confirmed by a rerun, and not accepted, fixed or found"
            " invalid. The time range does not limit it.",
        ),
        Panel(
            "Latency before and after changes of environments",
            (Unit.MILLISECONDS, Unit.RATIO, Unit.COUNT),
            _EFFECTS,
            Kind.TABLE,
            24,
            "The mean of all trials of the same artifact in each environment, whenever they were measured.",
        ),
        asked("what-changed-with-it", Unit.RATIO),
        asked("slower-this-month", Unit.MILLISECONDS, Unit.RATIO),
        asked("lives-of-regressions", Unit.COUNT, Unit.RATIO),
        asked("how-long-open", Unit.COUNT),
        asked("who-decided", Unit.COUNT),
        asked("tails", Unit.RATIO, Unit.COUNT),
    ),
    (Events("Notes of people", "blue", _NOTES), Events("Changes of environments", "orange", _CHANGES)),
)
