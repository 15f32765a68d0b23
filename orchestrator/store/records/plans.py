"""Record the plans of devices with jobs and trials, and keep the plans byte for byte as shipped."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select, update

from orchestrator.domain.blob import BlobKind
from orchestrator.domain.errors import StoreError
from orchestrator.domain.plan.document import ShippedJob, planned_blobs, planned_jobs
from orchestrator.domain.plan.endpoint import write_endpoint
from orchestrator.domain.plan.extend import ExtendedPlan
from orchestrator.domain.plan.values import DevicePlan, Job, PreparedPlan, Trial
from orchestrator.domain.run import DeviceRunState, TrialState
from orchestrator.store.records.fencing import fenced_off
from orchestrator.store.records.relatives import relate_jobs_of_plans
from orchestrator.store.records.run_states import NewState, change_device_states
from orchestrator.store.records.runs import of_device
from orchestrator.store.records.series import first_series, remember_series
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.bulk import insert_rows, insert_with_ids
from orchestrator.store.sql.column_types import canonical_json
from orchestrator.store.sql.engine import Database
from orchestrator.store.sql.upsert import upsert


class PlanTable:
    """Play the role `PlanRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save_plans(
        self, run: str, plans: Sequence[PreparedPlan], leases: Mapping[str, int] | None = None
    ) -> Mapping[str, StoreError]:
        """Record plans with jobs and trials. Return by device the reason why a plan is refused."""
        refused: dict[str, StoreError] = {}
        with self._database.write() as connection:
            refused.update(fenced_off(connection, {(run, one.plan.device) for one in plans}, leases))
            writer = _PlanWriter(connection, run)
            # In the order of names, because each plan locks its device's row of the run.
            for prepared in sorted(plans, key=lambda prepared: prepared.plan.device):
                if prepared.plan.device in refused:
                    continue
                try:
                    writer.record(prepared)
                except StoreError as error:
                    refused[prepared.plan.device] = error
        return refused

    def sent_blobs(self, devices: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return by device the hashes of the blobs of its newest plans that ran. Devices without one are left out."""
        sent: dict[str, frozenset[str]] = {}
        with self._database.read() as connection:
            for row in connection.execute(_RAN, {"names": list(devices)}):
                blobs = frozenset(blob.sha256 for blob in planned_blobs(row.plan_document.encode()))
                sent[row.name] = sent.get(row.name, frozenset()) | blobs
        return sent

    def extend_plans(self, run: str, plans: Sequence[ExtendedPlan]) -> None:
        """Record extended plans with the added trials, all in a single transaction. Complete devices become `stopped`.

        Raise StoreError, with no plan recorded, if a device has another plan by now than the extended plan.
        """
        with self._database.write() as connection:
            states: dict[int, NewState] = {}
            # In the order of names, because each plan locks its device's row of the run.
            for plan in sorted(plans, key=lambda plan: plan.device):
                found = connection.execute(_RUN_DEVICE, {"run": run, "device": plan.device}).one_or_none()
                if found is None or found.plan_sha256 != plan.extended_sha256:
                    raise StoreError(
                        f"{plan.device}: another command has changed the plan of run {run} meanwhile",
                        "give the command again",
                    )
                columns = {"run_device": found.id, "plan": plan.sha256, "document": plan.document.decode()}
                connection.execute(_SET_EXTENDED, columns)
                _insert_added(connection, found.id, plan)
                if found.state == DeviceRunState.COMPLETE.value:
                    added, then = f"{len(plan.added)} added trials have not run", f"benchfleet runs resume {run}"
                    states[found.id] = NewState(DeviceRunState.STOPPED, added, then)
            change_device_states(connection, states)

    def plan_document(self, run: str, device: str) -> bytes | None:
        """Return the bytes of a device's plan exactly as shipped, or None before there is a plan."""
        with self._database.read() as connection:
            document = connection.execute(of_device(select(t.run_device.c.plan_document), run, device)).scalar()
        return None if document is None else document.encode()


def _insert_added(connection: Connection, run_device: int, plan: ExtendedPlan) -> None:
    jobs = {row.key: row.id for row in connection.execute(_JOBS, {"run_device": run_device})}
    rows = [_planned(run_device, jobs, trial, plan.first_position + place) for place, trial in enumerate(plan.added)]
    insert_rows(connection, t.trial, rows)


def _planned(run_device: int, jobs: Mapping[str, int], trial: Trial, position: int) -> dict[str, Any]:
    """Return the row of a trial to come."""
    return {
        "run_device_id": run_device,
        "job_id": jobs[trial.job],
        "key": trial.key,
        "kind": trial.kind.value,
        "trial_index": trial.index,
        "position": position,
        "state": TrialState.PLANNED.value,
    }


class _PlanWriter:
    """Record the plans of a run's devices within a transaction."""

    def __init__(self, connection: Connection, run: str) -> None:
        self._connection = connection
        self._run = run
        self._runtimes: dict[str, int] = {}
        self._sizes: dict[str, int] = {}

    def record(self, prepared: PreparedPlan) -> None:
        """Record a plan with jobs and trials. Recording the same plan again is no change.

        Raise StoreError, before any write, if the device has another plan in the run, if the document does not match
        the hash, or if a variant is another artifact than at the beginning of the run.
        """
        plan = prepared.plan
        run_device = self._lock_planless(plan)
        if run_device is None:
            return
        # The document, and not the values of the plan, has the hashes of artifacts and bundles.
        described = {job.key: job for job in planned_jobs(plan.document)}
        variants = {job.key: self._variant(plan.device, job, described[job.key]) for job in plan.jobs}
        columns = {
            "run_device": run_device.id,
            "plan": plan.sha256,
            "document": plan.document.decode(),
            "snapshot": prepared.snapshot,
            "worker": prepared.worker_sha256,
        }
        self._connection.execute(_SET_PLAN, columns)
        self._record_sizes(plan)
        series, first = self._series(run_device.device_id, plan)
        rows = [
            {
                "run_device_id": run_device.id,
                "series_id": series[job.key],
                "first_series_id": first[job.key],
                "key": job.key,
                "label": job.label,
                "variant_id": variants[job.key],
                "runtime_id": self._runtime(job, described[job.key]),
                "settings": dict(job.settings),
            }
            for job in plan.jobs
        ]
        keys = insert_with_ids(self._connection, t.job, rows)
        relate_jobs_of_plans(self._connection, [run_device.id])
        jobs = {job.key: key for job, key in zip(plan.jobs, keys, strict=True)}
        self._record_trials(run_device.id, plan, jobs)

    def _series(self, device: int, plan: DevicePlan) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """Return by job its series, and the series of the first job with the same model, variant and settings."""
        series: dict[str, int] = {}
        first: dict[str, int] = {}
        # In the order of names, like all writers of series: two of them never wait for each other.
        for name in sorted({job.model for job in plan.jobs}):
            jobs = [job for job in plan.jobs if job.model == name]
            found = remember_series(self._connection, device, self._models[name], jobs)
            series |= found
            first |= first_series(jobs, found)
        return series, first

    def _lock_planless(self, plan: DevicePlan) -> Row[int, int, str | None, str] | None:
        """Lock the device's row of the run and return the row. Return None if the row has the same plan already."""
        if hashlib.sha256(plan.document).hexdigest() != plan.sha256:
            raise StoreError(f"{plan.device}: the plan is not what its hash says")
        found = self._connection.execute(_RUN_DEVICE, {"run": self._run, "device": plan.device}).one_or_none()
        if found is None:
            raise StoreError(f"{plan.device}: run {self._run} does not include this device")
        if found.plan_sha256 is None:
            return found
        if found.plan_sha256 != plan.sha256:
            raise StoreError(f"{plan.device}: it has another plan in run {self._run} already", "begin a new run")
        return None

    @cached_property
    def _models(self) -> Mapping[str, int]:
        return {row.name: row.id for row in self._connection.execute(_MODELS, {"run": self._run})}

    @cached_property
    def _variant_rows(self) -> Sequence[Row[int, int, str, str, int | None]]:
        return self._connection.execute(_VARIANTS, {"run": self._run}).all()

    @cached_property
    def _variants(self) -> Mapping[tuple[int, str, str], int]:
        return {(row.model_id, row.name, row.sha256): row.id for row in self._variant_rows}

    @cached_property
    def _stored_sizes(self) -> Mapping[str, int | None]:
        return {row.sha256: row.size_bytes for row in self._variant_rows}

    def _variant(self, device: str, job: Job, shipped: ShippedJob) -> int:
        variant = self._variants.get((self._models[job.model], job.variant, shipped.model.sha256))
        if variant is None:  # the file was rebuilt since the run began: its results must not count for the old artifact
            raise StoreError(
                f"{device}: variant {job.variant} is not the artifact that run {self._run} began with",
                "it was rebuilt meanwhile: begin a new run",
            )
        return variant

    def _record_sizes(self, plan: DevicePlan) -> None:
        # The plan knows an artifact's size. The model file, from which variants were recorded, does not.
        models = {blob.sha256: blob.size for blob in plan.blobs if blob.kind is BlobKind.MODEL}
        # Nearly every run measures artifacts of an earlier run: known sizes are only read.
        known = {**self._stored_sizes, **self._sizes}
        new = [{"hash": sha256, "size": size} for sha256, size in models.items() if known.get(sha256) != size]
        if new:
            self._connection.execute(_SET_SIZE, new)
            self._sizes |= models

    def _record_trials(self, run_device: int, plan: DevicePlan, jobs: Mapping[str, int]) -> None:
        trials = [_planned(run_device, jobs, trial, position) for position, trial in enumerate(plan.trials)]
        excluded = [
            {"run_device_id": run_device, "label": label, "reason": reason}
            # The label is the key: cells that read the same are one row.
            for label, reason in {cell.label: cell.reason for cell in plan.excluded}.items()
        ]
        insert_rows(self._connection, t.trial, trials)
        insert_rows(self._connection, t.excluded_cell, excluded)

    def _runtime(self, job: Job, shipped: ShippedJob) -> int:
        identity = {
            "label": job.runtime.label,
            "engine": shipped.engine,
            "bundles": list(shipped.bundles),
            "command": None if shipped.command is None else list(shipped.command),
            "files": sorted((file.name, file.sha256) for file in shipped.files),
            # Absent for all other runtimes, whose rows of earlier releases keep their hashes.
            **({"endpoint": write_endpoint(shipped.endpoint)} if shipped.endpoint else {}),
        }
        # Equal identities are one runtime row over all runs, so that results of different runs can be compared.
        sha256 = hashlib.sha256(canonical_json(identity).encode()).hexdigest()
        if sha256 not in self._runtimes:
            described = {
                "label": job.runtime.label,
                "source": job.runtime.source.value,
                "name": job.runtime.name,
                "version": job.runtime.version,
                "bundle_sha256": shipped.bundles[0] if shipped.bundles else None,
            }
            # The hash stands for all columns: a known row is only read, and no other writer waits for it.
            known = self._connection.execute(_RUNTIME, {"hash": sha256}).scalar()
            self._runtimes[sha256] = known or upsert(self._connection, t.runtime, {"sha256": sha256}, described)
        return self._runtimes[sha256]


_RUN_DEVICE = (
    select(t.run_device.c.id, t.run_device.c.device_id, t.run_device.c.plan_sha256, t.run_device.c.state)
    .join(t.device, t.device.c.id == t.run_device.c.device_id)
    .where(t.run_device.c.run_id == bindparam("run"), t.device.c.name == bindparam("device"))
    .with_for_update(of=t.run_device)
)
_PLANS_READ = 3
"""A device's newest plans: what older ones sent may have made room for these."""
_RANKED = (
    select(
        t.device.c.name,
        t.run_device.c.plan_document,
        func.row_number().over(partition_by=t.run_device.c.device_id, order_by=t.run_device.c.id.desc()).label("age"),
    )
    .join(t.device, t.device.c.id == t.run_device.c.device_id)
    # Only a runner writes a log, and starts once every blob of the plan has arrived.
    .where(
        t.device.c.name.in_(bindparam("names", expanding=True)),
        t.run_device.c.log_id.is_not(None),
        t.run_device.c.plan_document.is_not(None),
    )
    .subquery()
)
_RAN = select(_RANKED.c.name, _RANKED.c.plan_document).where(_RANKED.c.age <= _PLANS_READ)
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
_SET_EXTENDED = (
    update(t.run_device)
    .where(t.run_device.c.id == bindparam("run_device"))
    .values(plan_sha256=bindparam("plan"), plan_document=bindparam("document"))
)
_JOBS = select(t.job.c.id, t.job.c.key).where(t.job.c.run_device_id == bindparam("run_device"))
_VARIANTS = (
    select(
        t.model_variant.c.id,
        t.model_variant.c.model_id,
        t.model_variant.c.name,
        t.model_variant.c.sha256,
        t.model_variant.c.size_bytes,
    )
    .join(t.run_model, t.run_model.c.model_id == t.model_variant.c.model_id)
    .where(t.run_model.c.run_id == bindparam("run"))
)
_MODELS = (
    select(t.model.c.id, t.model.c.name)
    .join(t.run_model, t.run_model.c.model_id == t.model.c.id)
    .where(t.run_model.c.run_id == bindparam("run"))
)
_RUNTIME = select(t.runtime.c.id).where(t.runtime.c.sha256 == bindparam("hash"))
_SET_SIZE = (
    update(t.model_variant).where(t.model_variant.c.sha256 == bindparam("hash")).values(size_bytes=bindparam("size"))
)
