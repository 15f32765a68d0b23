"""Find the series of jobs: the same cells in the device's earlier runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select

from orchestrator.domain.plan.values import Job
from orchestrator.domain.sweep import stable_setting
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.column_types import canonical_json
from orchestrator.store.sql.upsert import insert_missing


def remember_series(connection: Connection, device: int, model: int, jobs: Sequence[Job]) -> Mapping[str, int]:
    """Return the id of each job's series by the job's key. Record new series."""
    apart = _apart(jobs)
    names = {
        job.key: (setup_sha256(device, model, job.runtime.label, job.settings, apart[job.key]), job.variant)
        for job in jobs
    }
    known = _known(connection, device, model)
    rows = [
        {
            "device_id": device,
            "model_id": model,
            "setup_sha256": setup,
            "variant": variant,
            "runtime": job.runtime.label,
            "settings": dict(job.settings),
        }
        # In the order of the key, like all writers of series: two of them never wait for each other.
        for (setup, variant), job in sorted(((names[job.key], job) for job in jobs), key=lambda pair: pair[0])
        if (setup, variant) not in known
    ]
    if rows:
        insert_missing(connection, t.series, rows)
        known = _known(connection, device, model)
    return {job.key: known[names[job.key]] for job in jobs}


def first_series(jobs: Sequence[Job], series: Mapping[str, int]) -> Mapping[str, int]:
    """Return by job the series of the first job in the plan with the same variant and settings."""
    apart = _apart(jobs)
    first: dict[tuple[str, str, str | None], int] = {}
    return {
        job.key: first.setdefault((job.variant, _settings_text(job.settings), apart[job.key]), series[job.key])
        for job in jobs
    }


def setup_sha256(device: int, model: int, runtime: str, settings: Mapping[str, Any], apart: str | None = None) -> str:
    """Return the hash of the common coordinates of compared variants, equal for every database's form of a number.

    `apart` is the key of a job with the setup of another job in the plan.
    """
    place = [device, model, runtime, _stable(settings), *([] if apart is None else [apart])]
    return hashlib.sha256(canonical_json(place).encode()).hexdigest()


def _apart(jobs: Sequence[Job]) -> Mapping[str, str | None]:
    """Return by job its own key where an earlier job of the plan has the same variant, runtime and stable settings."""
    # Present sweeps are refused for such jobs. Plans of older releases may hold 0.0 beside -0.0.
    seen: set[tuple[str, str, str]] = set()
    apart: dict[str, str | None] = {}
    for job in jobs:
        cell = (job.variant, job.runtime.label, _settings_text(job.settings))
        apart[job.key] = job.key if cell in seen else None
        seen.add(cell)
    return apart


def _known(connection: Connection, device: int, model: int) -> dict[tuple[str, str], int]:
    rows = connection.execute(_SERIES, {"device": device, "model": model})
    return {(row.setup_sha256, row.variant): row.id for row in rows}


def _stable(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: stable_setting(value) for key, value in settings.items()}


def _settings_text(settings: Mapping[str, Any]) -> str:
    return canonical_json(_stable(settings))


_SERIES = select(t.series.c.id, t.series.c.setup_sha256, t.series.c.variant).where(
    t.series.c.device_id == bindparam("device"), t.series.c.model_id == bindparam("model")
)
