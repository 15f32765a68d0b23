"""Tell the measured bytes of a cell: artifact, runtime and program, by the device's plan."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.domain.measurement import Cell
from orchestrator.domain.plan.document import ShippedJob, canonical, planned_jobs
from orchestrator.domain.sweep import setting_texts
from orchestrator.store.base import Roles

_HASH_CHARACTERS = 16
_BETWEEN = " · "
_JobName = tuple[str | None, str, str, str]
"""Model, variant, runtime and settings of a job. The model is None in a plan of one model."""


def slot_of(sweep: str, model: str, cell: tuple[str, str, Mapping[str, object]]) -> str:
    """Return the name of a cell from night to night. `cell` is variant, the sweep's runtime, and settings."""
    variant, runtime, settings = cell
    return _BETWEEN.join((sweep, model, variant, runtime, *setting_texts(sorted(settings.items()))))  # type: ignore[arg-type]


def content_of(job: ShippedJob) -> str:
    """Return a hash of all bytes of a job: equal for equal bytes."""
    parts = [
        job.model.sha256,
        job.runtime,
        job.engine,
        job.module,
        list(job.bundles),
        None if job.command is None else list(job.command),
        [[file.name, file.sha256] for file in job.files],
    ]
    return hashlib.sha256(canonical(parts)).hexdigest()[:_HASH_CHARACTERS]


@dataclass(frozen=True, slots=True)
class PlannedCells:
    """Find the jobs of runs by cells. Plans are read once."""

    store: Roles
    known: dict[tuple[str, str], Mapping[_JobName, ShippedJob]]

    def job(self, cell: Cell) -> ShippedJob | None:
        """Return the job of a cell on a device of a run, or None."""
        return _of(cell.model, self.of(cell.run, cell.device)).get(_key(cell.variant, cell.runtime, cell.settings))

    def like(self, run: str, device: str, model: str, job: ShippedJob) -> ShippedJob | None:
        """Return the job of another run for the same cell, also with another version of the runtime, or None."""
        jobs = _of(model, self.of(run, device))
        exact = jobs.get(_key(job.variant, job.runtime, job.settings))
        name = job.runtime.partition("==")[0]
        near = (
            one
            for one in jobs.values()
            if one.variant == job.variant and one.settings == job.settings and one.runtime.partition("==")[0] == name
        )
        return exact or next(near, None)

    def of(self, run: str, device: str) -> Mapping[_JobName, ShippedJob]:
        """Return the jobs of a device of a run, none before there is a plan."""
        if (run, device) not in self.known:
            document = self.store.plans.plan_document(run, device)
            jobs = () if document is None else planned_jobs(document)
            self.known[run, device] = {
                (job.swept_model, *_key(job.variant, job.runtime, job.settings)): job for job in jobs
            }
        return self.known[run, device]


def _of(model: str, jobs: Mapping[_JobName, ShippedJob]) -> Mapping[tuple[str, str, str], ShippedJob]:
    """Return the jobs of a model. The jobs of a run of one model do not name the model."""
    return {at[1:]: job for at, job in jobs.items() if at[0] in (None, model)}


def _key(variant: str, runtime: str, settings: Mapping[str, object]) -> tuple[str, str, str]:
    return variant, runtime, _BETWEEN.join(setting_texts(sorted(settings.items())))  # type: ignore[arg-type]
