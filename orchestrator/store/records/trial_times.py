"""Read how long trials of cells have taken on devices, and which cells devices were not asked to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select

from orchestrator.domain.sweep import setting_texts
from orchestrator.store.schema import tables as t


def trial_seconds(
    connection: Connection, devices: Sequence[str], models: Sequence[str]
) -> Mapping[tuple[str, ...], float]:
    """Return the mean seconds of a counted trial, by device, model, variant, runtime and settings."""
    rows = connection.execute(_SECONDS, {"devices": list(devices), "models": list(models)})
    found = {}
    for row in rows:
        settings = setting_texts(sorted(row.settings.items()))
        found[row.device, row.model, row.variant, row.runtime, *settings] = float(row.mean_ns) / 1e9
    return found


def overheads_s(connection: Connection, devices: Sequence[str]) -> Mapping[str, float]:
    """Return by device the seconds per attempt, beyond trials, for which the newest run there had the device."""
    spans: dict[int, float] = {}
    rows = connection.execute(_NEWEST_RUNS, {"devices": list(devices)}).all()
    for lease in connection.execute(_SPANS, {"parts": [row.id for row in rows]}) if rows else ():
        spans[lease.id] = spans.get(lease.id, 0.0) + (lease.ended_at - lease.granted_at).total_seconds()
    return {
        row.name: max(0.0, spans[row.id] - float(row.trials_ns) / 1e9) / row.attempts
        for row in rows
        if row.id in spans and row.attempts
    }


def last_used(connection: Connection, devices: Sequence[str]) -> Mapping[str, datetime]:
    """Return when the newest run of each device began. Devices without a run are left out."""
    return {row.name: row.at for row in connection.execute(_LAST_USED, {"devices": list(devices)})}


def left_out(connection: Connection, devices: Sequence[str]) -> Mapping[str, frozenset[str]]:
    """Return by device the labels of cells that a plan of the device has left out."""
    found: dict[str, set[str]] = {}
    for row in connection.execute(_LEFT_OUT, {"devices": list(devices)}):
        found.setdefault(row.name, set()).add(row.label)
    return {name: frozenset(labels) for name, labels in found.items()}


_OF_DEVICES = t.device.c.name.in_(bindparam("devices", expanding=True))
_LAST_USED = (
    select(t.device.c.name, func.max(t.run.c.started_at).label("at"))
    .join(t.run_device, t.run_device.c.device_id == t.device.c.id)
    .join(t.run, t.run.c.id == t.run_device.c.run_id)
    .where(_OF_DEVICES)
    .group_by(t.device.c.name)
)
_MEANS = (
    select(t.job.c.series_id, func.avg(t.attempt.c.duration_ns).label("mean_ns"))
    .join(t.trial, t.trial.c.job_id == t.job.c.id)
    .join(t.attempt, t.attempt.c.trial_id == t.trial.c.id)
    .join(t.series, t.series.c.id == t.job.c.series_id)
    .join(t.device, t.device.c.id == t.series.c.device_id)
    .join(t.model, t.model.c.id == t.series.c.model_id)
    .where(
        _OF_DEVICES,
        t.model.c.name.in_(bindparam("models", expanding=True)),
        t.trial.c.kind == "measure",
        t.attempt.c.counted,
    )
    .group_by(t.job.c.series_id)
    .subquery()
)
_SECONDS = (
    select(
        t.device.c.name.label("device"),
        t.model.c.name.label("model"),
        t.series.c.variant,
        t.series.c.runtime,
        t.series.c.settings,
        _MEANS.c.mean_ns,
    )
    .join(_MEANS, _MEANS.c.series_id == t.series.c.id)
    .join(t.device, t.device.c.id == t.series.c.device_id)
    .join(t.model, t.model.c.id == t.series.c.model_id)
)
_NEWEST = (
    select(func.max(t.run_device.c.id).label("id"))
    .join(t.device, t.device.c.id == t.run_device.c.device_id)
    .where(_OF_DEVICES, t.run_device.c.log_id.is_not(None))
    .group_by(t.run_device.c.device_id)
    .subquery()
)
_NEWEST_RUNS = (
    select(
        t.run_device.c.id,
        t.device.c.name,
        func.count(t.attempt.c.id).label("attempts"),
        func.coalesce(func.sum(t.attempt.c.duration_ns), 0).label("trials_ns"),
    )
    .join(_NEWEST, _NEWEST.c.id == t.run_device.c.id)
    .join(t.device, t.device.c.id == t.run_device.c.device_id)
    .join(t.trial, t.trial.c.run_device_id == t.run_device.c.id)
    .join(t.attempt, t.attempt.c.trial_id == t.trial.c.id)
    .group_by(t.run_device.c.id, t.device.c.name)
)
_SPANS = (
    select(t.run_device.c.id, t.lease.c.granted_at, t.lease.c.ended_at)
    .join(
        t.lease,
        (t.lease.c.run_id == t.run_device.c.run_id) & (t.lease.c.device_id == t.run_device.c.device_id),
    )
    .where(
        t.run_device.c.id.in_(bindparam("parts", expanding=True)),
        t.lease.c.exclusive,
        t.lease.c.granted_at.is_not(None),
        t.lease.c.ended_at.is_not(None),
    )
)
_LEFT_OUT = (
    select(t.device.c.name, t.excluded_cell.c.label)
    .join(t.run_device, t.run_device.c.id == t.excluded_cell.c.run_device_id)
    .join(t.device, t.device.c.id == t.run_device.c.device_id)
    .where(_OF_DEVICES)
    .distinct()
)
