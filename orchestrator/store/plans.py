"""Record a device's plan: its jobs, its trials, what they measure, byte for byte what was shipped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from orchestrator.domain.blob import BlobKind
from orchestrator.domain.errors import StoreError
from orchestrator.domain.plan import DevicePlan, Job
from orchestrator.domain.run import TrialState
from orchestrator.store import tables as t
from orchestrator.store.column_types import canonical_json
from orchestrator.store.upsert import upsert


def record_plan(connection: Connection, run: str, plan: DevicePlan, snapshot: int, worker_sha256: str) -> None:
    """Record a plan with its jobs and trials; the same plan again changes nothing, another one is refused."""
    run_device = _claim(connection, run, plan)
    if run_device is None:
        return
    connection.execute(
        update(t.run_device)
        .where(t.run_device.c.id == run_device)
        .values(
            plan_sha256=plan.sha256,
            plan_document=plan.document.decode(),
            snapshot_id=snapshot,
            worker_sha256=worker_sha256,
        )
    )
    _record_sizes(connection, plan)
    jobs = _record_jobs(connection, run, run_device, plan)
    trials = [
        {
            "run_device_id": run_device,
            "job_id": jobs[trial.job],
            "key": trial.key,
            "kind": trial.kind.value,
            "trial_index": trial.index,
            "position": position,
            "state": TrialState.PLANNED.value,
        }
        for position, trial in enumerate(plan.trials)
    ]
    excluded = [
        {"run_device_id": run_device, "label": label, "reason": reason}
        for label, reason in {cell.label: cell.reason for cell in plan.excluded}.items()
    ]
    if trials:
        connection.execute(insert(t.trial), trials)
    if excluded:
        connection.execute(insert(t.excluded_cell), excluded)


def _claim(connection: Connection, run: str, plan: DevicePlan) -> int | None:
    """Return the device's part of the run, or None where it has this plan already."""
    if hashlib.sha256(plan.document).hexdigest() != plan.sha256:
        raise StoreError(f"{plan.device}: the plan is not what its hash says")
    found = connection.execute(
        select(t.run_device.c.id, t.run_device.c.plan_sha256)
        .join(t.device, t.device.c.id == t.run_device.c.device_id)
        .where(t.run_device.c.run_id == run, t.device.c.name == plan.device)
        .with_for_update(of=t.run_device)
    ).one_or_none()
    if found is None:
        raise StoreError(f"{plan.device}: run {run} does not include this device")
    if found.plan_sha256 is None:
        run_device: int = found.id
        return run_device
    if found.plan_sha256 != plan.sha256:
        raise StoreError(f"{plan.device}: it has another plan in run {run} already", "begin a new run")
    return None


def _record_sizes(connection: Connection, plan: DevicePlan) -> None:
    sizes = [{"hash": blob.sha256, "size": blob.size} for blob in plan.blobs if blob.kind is BlobKind.MODEL]
    if sizes:
        connection.execute(
            update(t.model_variant)
            .where(t.model_variant.c.sha256 == bindparam("hash"))
            .values(size_bytes=bindparam("size")),
            sizes,
        )


def _record_jobs(connection: Connection, run: str, run_device: int, plan: DevicePlan) -> Mapping[str, int]:
    described = {job["job"]: job for job in json.loads(plan.document)["jobs"]}
    variants = {
        (row.name, row.sha256): row.id
        for row in connection.execute(
            select(t.model_variant.c.id, t.model_variant.c.name, t.model_variant.c.sha256)
            .join(t.run, t.run.c.model_id == t.model_variant.c.model_id)
            .where(t.run.c.id == run)
        )
    }
    rows = []
    for job in plan.jobs:
        document = described[job.key]
        variant = variants.get((job.variant, document["model"]["sha256"]))
        if variant is None:
            raise StoreError(
                f"{plan.device}: variant {job.variant} is not the artifact that run {run} began with",
                "it was rebuilt meanwhile: begin a new run",
            )
        rows.append(
            {
                "run_device_id": run_device,
                "key": job.key,
                "label": job.label,
                "variant_id": variant,
                "runtime_id": _remember_runtime(connection, job, document),
                "settings": dict(job.settings),
            }
        )
    if not rows:
        return {}
    statement = insert(t.job).returning(t.job.c.id, sort_by_parameter_order=True)
    keys = connection.execute(statement, rows).scalars()
    return {job.key: key for job, key in zip(plan.jobs, keys, strict=True)}


def _remember_runtime(connection: Connection, job: Job, document: Mapping[str, Any]) -> int:
    bundles = list(document.get("python_path") or ())
    identity = {
        "label": job.runtime.label,
        "engine": document.get("engine"),
        "bundles": bundles,
        "command": document.get("command"),
        "files": sorted((file["name"], file["sha256"]) for file in document.get("files") or ()),
    }
    return upsert(
        connection,
        t.runtime,
        {"sha256": hashlib.sha256(canonical_json(identity).encode()).hexdigest()},
        {
            "label": job.runtime.label,
            "source": job.runtime.source.value,
            "name": job.runtime.name,
            "version": job.runtime.version,
            "bundle_sha256": bundles[0] if bundles else None,
        },
    )
