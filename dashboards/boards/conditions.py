"""Describe the board of the conditions of devices."""

from __future__ import annotations

from dashboards.boards.elements import Board, Kind, Panel, Unit, asked
from dashboards.boards.variables import DEVICE, OF_DEVICES


def _readings(*columns: str) -> str:
    """Return the SQL of readings after trials: a line for each device, a point for each run.

    Aggregates leave out what a device does not say; where nothing is left, the point is NULL.
    """
    return f"""\
SELECT run.started_at AS time, device.name AS metric, {", ".join(columns)}
FROM attempt
JOIN trial ON trial.id = attempt.trial_id
JOIN run_device ON run_device.id = trial.run_device_id
JOIN run ON run.id = run_device.run_id
JOIN device ON device.id = run_device.device_id
WHERE $__timeFilter(run.started_at) AND device.name = ANY (ARRAY[${{device:sqlstring}}]::text[])
AND trial.kind = 'measure' AND attempt.conditions_after IS NOT NULL
GROUP BY run.started_at, device.name
ORDER BY 1, 2"""


def _number(key: str) -> str:
    return f"CAST(attempt.conditions_after ->> '{key}' AS double precision)"


_SENSORS = """\
SELECT run.started_at AS time, concat_ws(' ', device.name, sensor.key) AS metric,
    max(CAST(sensor.value AS double precision)) AS temperature_c
FROM attempt
JOIN trial ON trial.id = attempt.trial_id
JOIN run_device ON run_device.id = trial.run_device_id
JOIN run ON run.id = run_device.run_id
JOIN device ON device.id = run_device.device_id
CROSS JOIN LATERAL jsonb_each_text(CASE jsonb_typeof(attempt.conditions_after -> 'temperatures_c')
    WHEN 'object' THEN attempt.conditions_after -> 'temperatures_c' END) AS sensor
WHERE $__timeFilter(run.started_at) AND device.name = ANY (ARRAY[${device:sqlstring}]::text[])
AND trial.kind = 'measure'
GROUP BY run.started_at, device.name, sensor.key
ORDER BY 1, 2"""

_THROTTLED = "avg(CASE attempt.conditions_after ->> 'throttled' WHEN 'true' THEN 1.0 WHEN 'false' THEN 0.0 END)"

_INVALID = f"""\
SELECT date_trunc('day', stored_at, 'UTC') AS time, reason AS metric, count(DISTINCT attempt_id) AS attempts
FROM v_invalid
WHERE $__timeFilter(stored_at) AND {OF_DEVICES}
GROUP BY date_trunc('day', stored_at, 'UTC'), reason
ORDER BY 1, 2"""

_CHANGES = f"""\
SELECT changed_at, device, kind, key, was, now, key_reason, run
FROM v_environment_change
WHERE $__timeFilter(changed_at) AND {OF_DEVICES}
ORDER BY changed_at DESC, device, key"""

_MOST = "The highest reading after the measure trials of a run. A device without the sensor has no line."
_MEAN = "The mean of the readings after the measure trials of a run. A device without the sensor has no line."

_EACH = "Every zone and chip by its name: the highest reading after the measure trials of a run."

CONDITIONS = Board(
    "conditions",
    "Device conditions",
    "Under which conditions devices measure: temperature, clock, throttling, load, memory, and what changed on them.",
    (DEVICE,),
    (
        Panel(
            "Temperature", (Unit.CELSIUS,), _readings(f"max({_number('temperature_c')}) AS temperature_c"), note=_MOST
        ),
        Panel("Temperature by sensor", (Unit.CELSIUS,), _SENSORS, note=_EACH),
        Panel("Clock", (Unit.MEGAHERTZ,), _readings(f"avg({_number('cpu_mhz')}) AS cpu_mhz"), note=_MEAN),
        Panel(
            "Trials that ended throttled",
            (Unit.SHARE,),
            _readings(f"{_THROTTLED} AS throttled_share"),
            note="A device that does not say has no line.",
        ),
        Panel("Load", (Unit.LOAD,), _readings(f"avg({_number('load_1m')}) AS load_1m"), note=_MEAN),
        Panel(
            "CPU pressure",
            (Unit.PERCENT,),
            _readings(f"max({_number('cpu_pressure_percent')}) AS cpu_pressure_percent"),
            note=_MOST,
        ),
        Panel(
            "Load of others",
            (Unit.PERCENT,),
            _readings(f"max({_number('other_load_percent')}) AS other_load_percent"),
            note=_MOST,
        ),
        Panel(
            "Steal",
            (Unit.PERCENT,),
            _readings(f"max({_number('cpu_steal_percent')}) AS cpu_steal_percent"),
            note=_MOST,
        ),
        Panel(
            "Available memory",
            (Unit.BYTES,),
            _readings(f"min({_number('memory_available_bytes')}) AS memory_available_bytes"),
            note="The lowest reading after the measure trials of a run. A device that does not say has no line.",
        ),
        Panel("Invalid attempts by reason", (Unit.COUNT,), _INVALID, bars=True, note="By day in UTC."),
        Panel("Changes of environments", (), _CHANGES, Kind.TABLE),
        asked("invalid-by-reason", Unit.MINUTES, Unit.COUNT),
        asked("temperatures", Unit.CELSIUS),
    ),
)
