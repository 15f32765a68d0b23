"""Describe the board of energy and power."""

from __future__ import annotations

from dashboards.boards.elements import Board, Kind, Panel, Unit, asked
from dashboards.boards.variables import DEVICE, LINE, MODEL, OF_CELLS, RUNTIME, VARIANT, cells_over_time

# Figures of two power sources are not comparable, so that each source has a line.
_LINE = f"concat_ws(' ', {LINE}, source)"

_IDLE = """\
SELECT run_started_at AS time, concat_ws(' ', device, source) AS metric, avg(idle_w) AS idle_w
FROM v_power
WHERE $__timeFilter(run_started_at) AND device = ANY (ARRAY[${device:sqlstring}]::text[]) AND source IS NOT NULL
GROUP BY run_started_at, device, source
ORDER BY 1, 2"""

_NEWEST = f"""\
SELECT device, source, variant, runtime, CAST(settings AS text) AS settings, value AS energy_mj, trials, run
FROM v_latest
WHERE {OF_CELLS} AND metric = 'energy_mj' AND kind = 'measure'
ORDER BY device, source, value, variant, runtime, settings"""

_RATIOS = f"""\
SELECT DISTINCT ON (device, variant, runtime, settings)
    device, variant, runtime, CAST(settings AS text) AS settings, base, ratio_to_base, source, base_source, run
FROM v_variant_compare
WHERE {OF_CELLS} AND metric = 'energy_mj' AND kind = 'measure' AND variant <> base
ORDER BY device, variant, runtime, settings, run_started_at DESC, run DESC"""

_RESTS = "Above idle: what the device takes when it waits is left out."

ENERGY = Board(
    "energy",
    "Energy",
    "What an inference costs in energy, by variant and device, and how power was measured, or why not.",
    (MODEL, DEVICE, VARIANT, RUNTIME),
    (
        Panel(
            "Energy of an inference",
            (Unit.MILLIJOULES,),
            cells_over_time("energy_mj", "energy_mj", name=_LINE),
            width=24,
            note=_RESTS,
        ),
        Panel("Mean power", (Unit.WATTS,), cells_over_time("power_mean_w", "power_mean_w", name=_LINE)),
        Panel(
            "Idle power", (Unit.WATTS,), _IDLE, note="Measured before and after each trial: the mean of a run's trials."
        ),
        Panel("Newest energy of an inference", (Unit.MILLIJOULES, Unit.COUNT), _NEWEST, Kind.TABLE, note=_RESTS),
        Panel(
            "Ratio of energy to the base variant",
            (Unit.RATIO,),
            _RATIOS,
            Kind.TABLE,
            note="Of the newest run. Without a value where the two were measured by different power sources.",
        ),
        asked("why-no-energy", Unit.COUNT),
        asked("cost-of-measuring-power", Unit.HERTZ, Unit.WATTS, Unit.SHARE),
    ),
)
