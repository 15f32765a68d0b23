"""Record the plans of devices: their jobs, their trials, what they measure, byte for byte what was shipped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from orchestrator.domain.blob import BlobKind
from orchestrator.domain.errors import StoreError
from orchestrator.domain.plan import DevicePlan, Job, PreparedPlan
from orchestrator.domain.run import TrialState
from orchestrator.store import tables as t
from orchestrator.store.column_types import canonical_json
from orchestrator.store.upsert import upsert


class PlanWriter:
    """Records the plans of devices of one run within one transaction."""

    def __init__(self, connection: Connection, run: str) -> None:
        self._connection = connection
        self._run = run
        self._runtimes: dict[str, int] = {}
        self._sizes: dict[str, int] = {}

    def record(self, prepared: PreparedPlan) -> None:
        """Record a plan with its jobs and trials; the same plan again changes nothing.

        Another plan is refused with StoreError before anything of it is written.
        """
        plan = prepared.plan
        run_device = self._claim(plan)
        if run_device is None:
            return
        described = {job["job"]: job for job in json.loads(plan.document)["jobs"]}
        variants = {job.key: self._variant(plan.device, job, described[job.key]) for job in plan.jobs}
        columns = {
            "run_device": run_device,
            "plan": plan.sha256,
            "document": plan.document.decode(),
            "snapshot": prepared.snapshot,
            "worker": prepared.worker_sha256,
        }
        self._connection.execute(_SET_PLAN, columns)
        self._record_sizes(plan)
        rows = [
            {
                "run_device_id": run_device,
                "key": job.key,
                "label": job.label,
                "variant_id": variants[job.key],
                "runtime_id": self._runtime(job, described[job.key]),
                "settings": dict(job.settings),
            }
            for job in plan.jobs
        ]
        keys = self._connection.execute(_NEW_JOB, rows).scalars() if rows else ()
        jobs = {job.key: key for job, key in zip(plan.jobs, keys, strict=True)}
        self._record_trials(run_device, plan, jobs)

    def _claim(self, plan: DevicePlan) -> int | None:
        """Return the device's part of the run, or None where it has this plan already."""
        if hashlib.sha256(plan.document).hexdigest() != plan.sha256:
            raise StoreError(f"{plan.device}: the plan is not what its hash says")
        found = self._connection.execute(_CLAIM, {"run": self._run, "device": plan.device}).one_or_none()
        if found is None:
            raise StoreError(f"{plan.device}: run {self._run} does not include this device")
        if found.plan_sha256 is None:
            run_device: int = found.id
            return run_device
        if found.plan_sha256 != plan.sha256:
            raise StoreError(f"{plan.device}: it has another plan in run {self._run} already", "begin a new run")
        return None

    @cached_property
    def _variants(self) -> Mapping[tuple[str, str], int]:
        rows = self._connection.execute(_VARIANTS, {"run": self._run})
        return {(row.name, row.sha256): row.id for row in rows}

    def _variant(self, device: str, job: Job, document: Mapping[str, Any]) -> int:
        variant = self._variants.get((job.variant, document["model"]["sha256"]))
        if variant is None:
            raise StoreError(
                f"{device}: variant {job.variant} is not the artifact that run {self._run} began with",
                "it was rebuilt meanwhile: begin a new run",
            )
        return variant

    def _record_sizes(self, plan: DevicePlan) -> None:
        models = {blob.sha256: blob.size for blob in plan.blobs if blob.kind is BlobKind.MODEL}
        new = [{"hash": sha256, "size": size} for sha256, size in models.items() if sha256 not in self._sizes]
        if new:
            self._connection.execute(_SET_SIZE, new)
            self._sizes |= models

    def _record_trials(self, run_device: int, plan: DevicePlan, jobs: Mapping[str, int]) -> None:
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
            self._connection.execute(_NEW_TRIAL, trials)
        if excluded:
            self._connection.execute(_NEW_EXCLUDED, excluded)

    def _runtime(self, job: Job, document: Mapping[str, Any]) -> int:
        bundles = list(document.get("python_path") or ())
        identity = {
            "label": job.runtime.label,
            "engine": document.get("engine"),
            "bundles": bundles,
            "command": document.get("command"),
            "files": sorted((file["name"], file["sha256"]) for file in document.get("files") or ()),
        }
        sha256 = hashlib.sha256(canonical_json(identity).encode()).hexdigest()
        if sha256 not in self._runtimes:
            described = {
                "label": job.runtime.label,
                "source": job.runtime.source.value,
                "name": job.runtime.name,
                "version": job.runtime.version,
                "bundle_sha256": bundles[0] if bundles else None,
            }
            self._runtimes[sha256] = upsert(self._connection, t.runtime, {"sha256": sha256}, described)
        return self._runtimes[sha256]


_CLAIM = (
    select(t.run_device.c.id, t.run_device.c.plan_sha256)
    .join(t.device, t.device.c.id == t.run_device.c.device_id)
    .where(t.run_device.c.run_id == bindparam("run"), t.device.c.name == bindparam("device"))
    .with_for_update(of=t.run_device)
)
_SET_PLAN = (
    update(t.run_device)
    .where(t.run_device.c.id == bindparam("run_device"))
    .values(
        plan_sha256=bindparam("plan"),
        plan_document=bindparam("document"),
        snapshot_id=bindparam("snapshot"),
        worker_sha256=bindparam("worker"),
    )
)
_VARIANTS = (
    select(t.model_variant.c.id, t.model_variant.c.name, t.model_variant.c.sha256)
    .join(t.run, t.run.c.model_id == t.model_variant.c.model_id)
    .where(t.run.c.id == bindparam("run"))
)
_SET_SIZE = (
    update(t.model_variant).where(t.model_variant.c.sha256 == bindparam("hash")).values(size_bytes=bindparam("size"))
)
_NEW_JOB = insert(t.job).returning(t.job.c.id, sort_by_parameter_order=True)
_NEW_TRIAL = insert(t.trial)
_NEW_EXCLUDED = insert(t.excluded_cell)
