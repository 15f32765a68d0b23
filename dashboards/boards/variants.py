"""Describe the board that compares variants."""

from __future__ import annotations

from dashboards.boards.elements import Board, Kind, Panel, Unit, asked
from dashboards.boards.variables import DEVICE, LINE, MODEL

_CHOSEN = "model IN (${model:sqlstring}) AND device = ANY (ARRAY[${device:sqlstring}]::text[])"

_NEWEST = f"""\
SELECT
    device, variant, runtime, CAST(settings AS text) AS settings, latency_ns, accuracy, size_bytes, energy_mj, trials,
    on_front, on_front_reason, run, run_started_at
FROM v_pareto
WHERE {_CHOSEN}
ORDER BY device, latency_ns, variant, runtime, settings"""

_SCATTER = f"""\
SELECT latency_ns / 1e6 AS latency_ms, accuracy, {LINE} AS cell
FROM v_pareto
WHERE {_CHOSEN} AND accuracy IS NOT NULL
ORDER BY v_pareto.latency_ns, cell"""

_BARS = f"""\
SELECT {LINE} AS cell, value AS latency_ns
FROM v_latest
WHERE {_CHOSEN} AND metric = 'latency_ns' AND kind = 'measure'
ORDER BY device, value, cell"""

_RATIOS = f"""\
SELECT DISTINCT ON (device, variant, runtime, settings, metric)
    device, variant, runtime, CAST(settings AS text) AS settings, metric, base, ratio_to_base, trials,
    base_trials AS trials_of_base, run
FROM v_variant_compare
WHERE {_CHOSEN} AND kind = 'measure' AND variant <> base AND $__timeFilter(run_started_at)
ORDER BY device, variant, runtime, settings, metric, run_started_at DESC, run DESC"""

_RATIO_OVER_TIME = f"""\
SELECT run_started_at AS time, {LINE} AS metric, ratio_to_base
FROM v_variant_compare
WHERE {_CHOSEN} AND kind = 'measure' AND metric = 'latency_ns' AND variant <> base
AND $__timeFilter(run_started_at)
ORDER BY 1, 2"""

_AGREEMENT = f"""\
SELECT DISTINCT ON (device, variant, runtime, CAST(settings AS text))
    device, variant, runtime, CAST(settings AS text) AS settings, parent,
    max(value) FILTER (WHERE metric = 'agreement_argmax') AS argmax_share,
    max(value) FILTER (WHERE metric = 'agreement_within_tolerance') AS within_tolerance_share,
    max(value) FILTER (WHERE metric = 'agreement_cosine') AS cosine,
    max(value) FILTER (WHERE metric = 'agreement_max_abs') AS max_abs,
    run
FROM v_cell
WHERE {_CHOSEN} AND metric LIKE 'agreement!_%' ESCAPE '!'
GROUP BY device, variant, runtime, CAST(settings AS text), parent, run, run_started_at
ORDER BY device, variant, runtime, CAST(settings AS text), run_started_at DESC, run DESC"""

_AGREEMENT_OVER_TIME = f"""\
SELECT run_started_at AS time, {LINE} AS metric, max(value) AS argmax_share
FROM v_cell
WHERE {_CHOSEN} AND metric = 'agreement_argmax' AND $__timeFilter(run_started_at)
GROUP BY run_started_at, {LINE}
ORDER BY 1, 2"""

_PARENT = "With the outputs of the variant that each was made from, on the same inputs."
_MEDIANS = "A ratio of medians has no interval: `benchfleet compare` judges whether a difference is real."

VARIANTS = Board(
    "variants",
    "Variant comparison",
    "What each variant costs and gains on each device: latency, accuracy, agreement, size, memory, energy.",
    (MODEL, DEVICE),
    (
        Panel(
            "Newest figures of each cell",
            (Unit.NANOSECONDS, Unit.SHARE, Unit.BYTES, Unit.MILLIJOULES, Unit.COUNT),
            _NEWEST,
            Kind.TABLE,
            24,
            "on_front: no other cell of the device is at least as fast and as accurate. Medians, without intervals.",
        ),
        Panel(
            "Latency against accuracy",
            (Unit.MILLISECONDS, Unit.SHARE),
            _SCATTER,
            Kind.SCATTER,
            note="Faster is further left, more accurate is higher.",
        ),
        Panel("Newest latency by cell", (Unit.NANOSECONDS,), _BARS, Kind.BARS),
        Panel(
            "Newest ratio to the base variant",
            (Unit.RATIO, Unit.COUNT),
            _RATIOS,
            Kind.TABLE,
            note=f"{_MEDIANS} Without a value: the two have no common power source, or the base was not measured.",
        ),
        Panel("Ratio of latency to the base variant", (Unit.RATIO,), _RATIO_OVER_TIME, note=_MEDIANS),
        Panel("Newest agreement with the parent", (Unit.SHARE, Unit.NUMBER), _AGREEMENT, Kind.TABLE, note=_PARENT),
        Panel("Same highest class as the parent", (Unit.SHARE,), _AGREEMENT_OVER_TIME, note=_PARENT),
        asked("fastest-within-accuracy", Unit.MILLISECONDS, Unit.SHARE),
        asked("accuracy-lost", Unit.SHARE),
        asked("gain-of-int8", Unit.MILLISECONDS, Unit.RATIO),
        asked("runtimes-side-by-side", Unit.RATIO, Unit.COUNT),
        asked("devices-side-by-side", Unit.MILLISECONDS, Unit.RATIO),
        asked("size-and-memory", Unit.MEGABYTES),
    ),
)
