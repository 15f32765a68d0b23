"""Read the fleet in a handful of statements, however many devices there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select, text

from orchestrator.domain.fleet_card import DeviceInRun, NoisePoint, Reading
from orchestrator.domain.policy import HEADLINE_METRIC
from orchestrator.domain.regression import STANDING
from orchestrator.domain.run import DeviceRunState
from orchestrator.store.pages.conditions import clock, flag, number
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.engine import Database

_NOISE_DAYS = 60
"""How far noise looks back from the newest run: a window over all runs ever would grow with the database."""
_KEPT_MAX = 100_000
"""The most noise points kept in memory, about 20 MB."""


class FleetTable:
    """Play the role `Fleet`. The noise of ended runs is kept in memory, since nothing changes it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: dict[tuple[int, datetime], NoisePoint | None] = {}

    def known_devices(self) -> Sequence[tuple[str, str, dict[str, str]]]:
        """Return name, transport and tags of every device, in the order of names."""
        statement = select(t.device.c.name, t.device.c.transport, t.device.c.tags).order_by(t.device.c.name)
        with self._database.read() as connection:
            return [(row.name, row.transport, dict(row.tags)) for row in connection.execute(statement)]

    def last_runs(self) -> dict[str, DeviceInRun]:
        """Return by device the newest run."""
        statement = (
            select(
                t.device.c.name,
                t.run_device.c.run_id,
                t.sweep.c.name.label("sweep"),
                t.run_device.c.state,
                t.run.c.started_at,
                t.run.c.finished_at,
                t.run_device.c.error,
            )
            .join(t.device, t.device.c.id == t.run_device.c.device_id)
            .join(t.run, t.run.c.id == t.run_device.c.run_id)
            .join(t.sweep, t.sweep.c.id == t.run.c.sweep_id)
            .where(t.run_device.c.id.in_(_newest_parts()))
        )
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        return {
            row.name: DeviceInRun(
                row.run_id, row.sweep, DeviceRunState(row.state), row.started_at, row.finished_at, row.error
            )
            for row in rows
        }

    def asked_at(self) -> dict[str, datetime]:
        """Return by device when the device last gave facts."""
        # Not the facts themselves, which are kilobytes of JSON for each device.
        statement = (
            select(t.device.c.name, func.max(t.device_snapshot.c.taken_at).label("at"))
            .join(t.device, t.device.c.id == t.device_snapshot.c.device_id)
            .group_by(t.device.c.id, t.device.c.name)
        )
        with self._database.read() as connection:
            return {row.name: row.at for row in connection.execute(statement)}

    def last_readings(self) -> dict[str, Reading]:
        """Return by device the conditions after the newest attempt of the newest run with an attempt."""
        # A run that has just begun has no reading yet: the run before has one.
        logged = select(func.max(t.run_device.c.id)).where(t.run_device.c.log_id.is_not(None))
        newest = (
            select(func.max(t.attempt.c.id))
            .join(t.trial, t.trial.c.id == t.attempt.c.trial_id)
            .where(
                t.trial.c.run_device_id.in_(logged.group_by(t.run_device.c.device_id)),
                t.attempt.c.finished_seq.is_not(None),
            )
            .group_by(t.trial.c.run_device_id)
        )
        statement = (
            select(t.device.c.name, t.run_device.c.run_id, t.attempt.c.stored_at, t.attempt.c.conditions_after)
            .join(t.trial, t.trial.c.id == t.attempt.c.trial_id)
            .join(t.run_device, t.run_device.c.id == t.trial.c.run_device_id)
            .join(t.device, t.device.c.id == t.run_device.c.device_id)
            # The greatest id is the newest: attempts are recorded in the order of the log.
            .where(t.attempt.c.id.in_(newest))
        )
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        return {row.name: _reading(row.run_id, row.stored_at, row.conditions_after or {}) for row in rows}

    def noise(self, runs: int) -> dict[str, tuple[NoisePoint, ...]]:
        """Return by device the usual noise of latency in the newest runs, at most `runs` of a device."""
        with self._database.read() as connection:
            newest = connection.execute(select(func.max(t.run.c.started_at))).scalar()
            if newest is None:
                return {}
            parts = connection.execute(_newest_runs(newest - timedelta(days=_NOISE_DAYS), runs)).all()
            wanted = {part.id for part in parts if (part.id, part.finished_at) not in self._kept}
            seen = _noises(connection, wanted)
        points: dict[str, list[NoisePoint]] = {}
        for part in sorted(parts, key=lambda part: (part.started_at, part.id)):
            point = self._point(part, seen)
            if point is not None:
                points.setdefault(part.name, []).append(point)
        return {device: tuple(found) for device, found in points.items()}

    def standing_regressions(self) -> dict[str, int]:
        """Return by device the number of regressions that are confirmed and not over."""
        statement = (
            select(t.device.c.name, func.count().label("number"))
            .select_from(t.regression.join(t.series, t.series.c.id == t.regression.c.series_id))
            .join(t.device, t.device.c.id == t.series.c.device_id)
            .where(t.regression.c.state.in_([state.value for state in STANDING]))
            .group_by(t.device.c.name)
        )
        with self._database.read() as connection:
            return {row.name: row.number for row in connection.execute(statement)}

    def _point(self, part: Any, seen: Mapping[int, Sequence[float]]) -> NoisePoint | None:
        key = (part.id, part.finished_at)
        if key in self._kept:
            return self._kept[key]
        found = seen.get(part.id, ())
        point = NoisePoint(part.run_id, part.started_at, median(found), len(found)) if found else None
        # A run under way has no end, and its noise still changes. More trials of an ended run change its end.
        if part.finished_at is not None:
            if len(self._kept) >= _KEPT_MAX:
                self._kept.clear()
            self._kept[key] = point
        return point


def _newest_parts() -> Select[tuple[int]]:
    return select(func.max(t.run_device.c.id)).group_by(t.run_device.c.device_id)


def _newest_runs(since: datetime, runs: int) -> Select[Any]:
    age = func.row_number().over(partition_by=t.run_device.c.device_id, order_by=t.run_device.c.id.desc())
    aged = (
        # Not the whole row: a plan has many kilobytes.
        select(
            t.run_device.c.id,
            t.run_device.c.run_id,
            t.run_device.c.device_id,
            t.run.c.started_at,
            t.run.c.finished_at,
            age.label("age"),
        )
        .join(t.run, t.run.c.id == t.run_device.c.run_id)
        .where(t.run.c.started_at >= since, t.run.c.excluded_at.is_(None))
        .subquery()
    )
    return (
        select(aged.c.id, aged.c.run_id, aged.c.started_at, aged.c.finished_at, t.device.c.name)
        .join(t.device, t.device.c.id == aged.c.device_id)
        .where(aged.c.age <= runs)
    )


def _noises(connection: Connection, parts: set[int]) -> dict[int, list[float]]:
    """Return by run_device the noise of each cell, as the view v_noise has it."""
    found: dict[int, list[float]] = {}
    ordered = sorted(parts)
    # In portions: SQLite takes at most 32,766 parameters.
    for place in range(0, len(ordered), _PORTION):
        chosen = {"parts": ordered[place : place + _PORTION], "metric": HEADLINE_METRIC}
        for row in connection.execute(_NOISE, chosen):
            found.setdefault(row.part, []).append(row.noise)
    return found


_PORTION = 5_000
_NOISE = text(
    "SELECT job.run_device_id AS part, v_noise.noise AS noise FROM job JOIN v_noise ON v_noise.job_id = job.id "
    "WHERE job.run_device_id IN :parts AND v_noise.metric = :metric AND v_noise.noise IS NOT NULL"
).bindparams(bindparam("parts", expanding=True))


def _reading(run: str, at: datetime, conditions: Mapping[str, Any]) -> Reading:
    return Reading(run, at, number(conditions.get("temperature_c")), clock(conditions), flag(conditions, "throttled"))
