"""Describe the board of one run."""

from __future__ import annotations

from dashboards.boards.elements import Board, Kind, Panel, Unit
from dashboards.boards.variables import LINE, OF_RUN, RUN, cells_of_run

_DURATION = """\
SELECT CAST(extract(epoch FROM coalesce(finished_at, now()) - started_at) AS double precision) AS duration_s
FROM run
WHERE id IN (${run:sqlstring})"""

_MISSING = f"SELECT count(*) AS trials FROM v_missing WHERE {OF_RUN}"

_INVALID = f"SELECT count(DISTINCT attempt_id) AS attempts FROM v_invalid WHERE {OF_RUN}"

_CELLS = f"""\
SELECT count(*) AS cells FROM v_cell WHERE {OF_RUN} AND metric = 'latency_ns' AND kind = 'measure'"""

_DEVICES = """\
SELECT
    device.name AS device, run_device.state, run_device.error, run_device.hint, run.started_at, run.finished_at,
    device_snapshot.environment_hash, device_snapshot.facts ->> 'kernel' AS kernel,
    device_snapshot.facts ->> 'governor' AS governor, device_snapshot.facts ->> 'python' AS python
FROM run_device
JOIN run ON run.id = run_device.run_id
JOIN device ON device.id = run_device.device_id
LEFT JOIN device_snapshot ON device_snapshot.id = run_device.snapshot_id
WHERE run_device.run_id IN (${run:sqlstring})
ORDER BY device.name"""

_RESULTS = f"""\
SELECT
    device, model, variant, runtime, CAST(settings AS text) AS settings,
    max(CASE WHEN metric = 'latency_ns' THEN value END) AS latency_ns,
    max(CASE WHEN metric = 'latency_ns' THEN value_min END) AS latency_min_ns,
    max(CASE WHEN metric = 'latency_ns' THEN value_max END) AS latency_max_ns,
    max(CASE WHEN metric = 'latency_ns' THEN trials END) AS trials,
    max(CASE WHEN metric = 'rss_bytes_max' THEN value END) AS memory_bytes,
    max(CASE WHEN metric = 'energy_mj' THEN value END) AS energy_mj,
    max(CASE WHEN metric = 'power_mean_w' THEN value END) AS power_mean_w,
    max(CASE WHEN metric = 'accuracy_top1' THEN value END) AS accuracy,
    max(size_bytes) AS size_bytes
FROM v_cell
WHERE {OF_RUN}
GROUP BY job_id, device, model, variant, runtime, settings
ORDER BY device, model, variant, runtime, job_id"""

_TRIALS = f"""\
SELECT finished_at AS time, {LINE} AS metric, value AS latency_ns
FROM v_history
WHERE {OF_RUN} AND metric = 'latency_ns' AND kind = 'measure' AND finished_at IS NOT NULL
ORDER BY 1, 2, trial_index"""

_REASONS = f"""\
SELECT device, variant, runtime, CAST(settings AS text) AS settings, state, reason, count(*) AS trials
FROM v_missing
WHERE {OF_RUN}
GROUP BY device, variant, runtime, settings, state, reason
ORDER BY device, variant, runtime, settings, state, reason"""

_SPOILED = f"""\
SELECT device, variant, runtime, reason, count(*) AS attempts, sum(duration_ns) / 6e10 AS minutes_lost
FROM v_invalid
WHERE {OF_RUN}
GROUP BY device, variant, runtime, reason
ORDER BY attempts DESC, device, variant, runtime, reason"""

RUN_BOARD = Board(
    "run",
    "Run",
    "One run: its devices with their environment, results, trials, and what is missing or invalid, and why.",
    (RUN,),
    (
        Panel(
            "Duration",
            (Unit.SECONDS,),
            _DURATION,
            Kind.STAT,
            6,
            "Of a run that goes on: until now.",
        ),
        Panel("Cells with a latency", (Unit.COUNT,), _CELLS, Kind.STAT, 6),
        Panel("Missing trials", (Unit.COUNT,), _MISSING, Kind.STAT, 6),
        Panel("Invalid attempts", (Unit.COUNT,), _INVALID, Kind.STAT, 6),
        Panel("Devices and their environment", (), _DEVICES, Kind.TABLE, 24),
        Panel(
            "Results",
            (Unit.NANOSECONDS, Unit.BYTES, Unit.MILLIJOULES, Unit.WATTS, Unit.SHARE, Unit.COUNT),
            _RESULTS,
            Kind.TABLE,
            24,
            "The median of the trials of a cell, with the smallest and the largest trial. Energy is above idle.",
        ),
        Panel("Latency by cell", (Unit.NANOSECONDS,), cells_of_run("latency_ns", "latency_ns"), Kind.BARS),
        Panel("Energy of an inference by cell", (Unit.MILLIJOULES,), cells_of_run("energy_mj", "energy_mj"), Kind.BARS),
        Panel("Memory at most by cell", (Unit.BYTES,), cells_of_run("rss_bytes_max", "memory_bytes"), Kind.BARS),
        Panel("Accuracy by cell", (Unit.SHARE,), cells_of_run("accuracy_top1", "accuracy", "preflight"), Kind.BARS),
        Panel(
            "Latency of each trial",
            (Unit.NANOSECONDS,),
            _TRIALS,
            note="By the device's clock, which may jump. Set the time range to that of the run to see the trials.",
        ),
        Panel("Missing trials, and why", (Unit.COUNT,), _REASONS, Kind.TABLE),
        Panel("Broken conditions", (Unit.MINUTES, Unit.COUNT), _SPOILED, Kind.TABLE),
    ),
)
