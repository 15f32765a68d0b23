"""Order the trials of a plan."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

from orchestrator.domain.plan.document import canonical
from orchestrator.domain.plan.values import Job, Trial, TrialKind
from orchestrator.domain.runtime import RuntimeSource
from orchestrator.domain.sweep import Sweep


def order_trials(jobs: Sequence[Job], sweep: Sweep, device: str) -> tuple[Trial, ...]:
    """Return every trial in the order of execution, preflights first and profiles last."""
    # Judging a data set, and profiling, heat the device, and must not colour a measured trial.
    profiles = _profiles(jobs) if sweep.profile is not None else ()
    return (*_preflights(jobs), *_measure_trials(jobs, sweep, device), *profiles)


def _preflights(jobs: Iterable[Job]) -> Iterator[Trial]:
    for job in jobs:
        if job.runtime.source is not RuntimeSource.EXEC:  # a foreign program is opaque, and cannot be asked for outputs
            yield _trial(job, TrialKind.PREFLIGHT, 0)


def _profiles(jobs: Iterable[Job]) -> Iterator[Trial]:
    for job in jobs:
        if job.runtime.source is not RuntimeSource.EXEC:  # nobody asks a foreign program for its operators
            yield Trial(f"{job.key}.{TrialKind.PROFILE.value}", job.key, TrialKind.PROFILE, 0)


def _measure_trials(jobs: Sequence[Job], sweep: Sweep, device: str) -> Iterator[Trial]:
    if not sweep.order.interleave:
        for job in jobs:
            for index in range(1, sweep.trials + 1):
                yield _trial(job, TrialKind.MEASURE, index)
        return
    # Every cell once before any cell twice: drift of the device hits all cells alike.
    for index in range(1, sweep.trials + 1):
        for job in sorted(jobs, key=lambda job: lot(sweep.order.seed, device, index, job.key)):
            yield _trial(job, TrialKind.MEASURE, index)


def lot(seed: int, device: str, index: int, job: str) -> bytes:
    """Draw a job's place within a repeat by a hash."""
    # By a hash, since random.Random may shuffle otherwise in another Python.
    return hashlib.sha256(canonical([seed, device, index, job])).digest()


def _trial(job: Job, kind: TrialKind, index: int) -> Trial:
    return Trial(f"{job.key}.{index}", job.key, kind, index)
