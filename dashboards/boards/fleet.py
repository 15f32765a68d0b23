"""Describe the board of the fleet's health."""

from __future__ import annotations

from dashboards.boards.elements import Board, Kind, Panel, Unit, asked
from dashboards.boards.variables import DEVICE, OF_DEVICES

_QUARANTINED = """\
SELECT count(*) AS devices
FROM quarantine
JOIN device ON device.id = quarantine.device_id
WHERE quarantine.ended_at IS NULL AND device.name = ANY (ARRAY[${device:sqlstring}]::text[])"""

_OPEN = f"SELECT count(*) AS regressions FROM v_open_regressions WHERE {OF_DEVICES}"

_RUNS = """\
SELECT count(DISTINCT run.id) AS runs
FROM run
JOIN run_device ON run_device.run_id = run.id
JOIN device ON device.id = run_device.device_id
WHERE $__timeFilter(run.started_at) AND device.name = ANY (ARRAY[${device:sqlstring}]::text[])"""

# Without any attempt there is no share: NULL, not 0.
_INVALID_SHARE = """\
SELECT CAST(count(*) FILTER (WHERE jsonb_array_length(attempt.invalid) > 0) AS double precision)
    / nullif(count(*), 0) AS invalid_share
FROM attempt
JOIN trial ON trial.id = attempt.trial_id
JOIN run_device ON run_device.id = trial.run_device_id
JOIN run ON run.id = run_device.run_id
JOIN device ON device.id = run_device.device_id
WHERE $__timeFilter(run.started_at) AND device.name = ANY (ARRAY[${device:sqlstring}]::text[])
AND attempt.outcome = 'ok'"""

_DEVICES = """\
SELECT
    device.name AS device, last.run, last.started_at, last.state, last.error,
    quarantine.since AS in_quarantine_since, quarantine.reason AS quarantine_reason, noise.noise
FROM device
LEFT JOIN LATERAL (
    SELECT run.id AS run, run.started_at, run_device.state, run_device.error
    FROM run_device
    JOIN run ON run.id = run_device.run_id
    WHERE run_device.device_id = device.id
    ORDER BY run.started_at DESC, run.id DESC
    LIMIT 1
) AS last ON true
LEFT JOIN quarantine ON quarantine.device_id = device.id AND quarantine.ended_at IS NULL
LEFT JOIN LATERAL (
    SELECT avg(v_noise.noise) AS noise
    FROM v_noise
    WHERE v_noise.device = device.name AND v_noise.metric = 'latency_ns' AND $__timeFilter(v_noise.run_started_at)
) AS noise ON true
WHERE device.name = ANY (ARRAY[${device:sqlstring}]::text[])
ORDER BY device.name"""

_NOISE = f"""\
SELECT run_started_at AS time, device AS metric, avg(noise) AS noise
FROM v_noise
WHERE $__timeFilter(run_started_at) AND {OF_DEVICES} AND metric = 'latency_ns'
GROUP BY run_started_at, device
ORDER BY 1, 2"""

_MISSING = """\
SELECT date_trunc('day', run.started_at, 'UTC') AS time, v_missing.reason AS metric, count(*) AS trials
FROM v_missing
JOIN run ON run.id = v_missing.run
WHERE $__timeFilter(run.started_at) AND v_missing.device = ANY (ARRAY[${device:sqlstring}]::text[])
GROUP BY date_trunc('day', run.started_at, 'UTC'), v_missing.reason
ORDER BY 1, 2"""

FLEET = Board(
    "fleet",
    "Fleet health",
    "Which devices work, which are noisy, absent or in quarantine, and what that costs.",
    (DEVICE,),
    (
        Panel("Devices in quarantine", (Unit.COUNT,), _QUARANTINED, Kind.STAT, 6),
        Panel("Open regressions", (Unit.COUNT,), _OPEN, Kind.STAT, 6),
        Panel("Runs", (Unit.COUNT,), _RUNS, Kind.STAT, 6),
        Panel(
            "Invalid among finished attempts",
            (Unit.SHARE,),
            _INVALID_SHARE,
            Kind.STAT,
            6,
            "An attempt is invalid if it ran under a condition that makes the number unfit.",
        ),
        Panel(
            "Devices, and noise of their latency",
            (Unit.SHARE,),
            _DEVICES,
            Kind.TABLE,
            24,
            "The last run is the newest ever. The noise is the mean over the time range: the standard deviation of the"
            " trials of a cell over their median.",
        ),
        Panel(
            "Noise of latency",
            (Unit.SHARE,),
            _NOISE,
            note="The standard deviation of trials over their median: the mean over the cells of a device's run.",
        ),
        Panel(
            "Missing trials by reason",
            (Unit.COUNT,),
            _MISSING,
            bars=True,
            note="By day in UTC. A device that was absent from a whole run is one.",
        ),
        asked("failures-by-kind", Unit.COUNT),
        asked("absent-devices", Unit.COUNT),
        asked("quarantines", Unit.COUNT),
        asked("noise-without-a-figure", Unit.COUNT),
        asked("device-hours-by-user", Unit.HOURS, Unit.COUNT),
        asked("cost-of-a-nightly", Unit.HOURS, Unit.SHARE, Unit.COUNT),
    ),
)
