"""Expand a sweep for one device, purely: same inputs and seed, same plan, byte for byte."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.device import Device
from orchestrator.domain.errors import BlobError, ConfigError
from orchestrator.domain.expansion import GridCell, expand, hardware_against, rule_against
from orchestrator.domain.facts import Facts
from orchestrator.domain.model import Dataset, Model, Variant
from orchestrator.domain.nearest import did_you_mean
from orchestrator.domain.runtime import RuntimeSource, RuntimeSpec, engine_of
from orchestrator.domain.sweep import MeasurePolicy, Setting, Sweep

PLAN_PROTOCOL = 1
"""The version of docs/worker-protocol.md that `document` follows; a test keeps it equal to the worker's."""

PROCESS_START_S = 1.0
"""What starting a trial's process costs before it measures: interpreter, runtime, model; between a PC and a Pi."""

PREFLIGHT_S = 1.0
"""What a preflight costs beyond its start: one inference, and the data set where accuracy is judged."""


class TrialKind(StrEnum):
    """A preflight proves that a cell works; a measure trial times it."""

    PREFLIGHT = "preflight"
    MEASURE = "measure"


@dataclass(frozen=True, slots=True)
class RuntimeOffer:
    """Whether a runtime can be had for a device: its bundle (None for system and exec), or why not."""

    runtime: RuntimeSpec
    bundle: Blob | None = None
    unavailable: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One cell: variant x runtime x settings on one device; `key` names it within a plan and is stable across plans."""

    key: str
    variant: str
    runtime: RuntimeSpec
    settings: Mapping[str, Setting]
    label: str


@dataclass(frozen=True, slots=True)
class Trial:
    """One process launch of a job; index 0 is its preflight."""

    key: str
    job: str
    kind: TrialKind
    index: int


@dataclass(frozen=True, slots=True)
class Excluded:
    """A cell that will not run, and why."""

    label: str
    reason: str


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """Everything one device will do, in order; `document` is what is shipped (docs/worker-protocol.md)."""

    device: str
    jobs: tuple[Job, ...]
    trials: tuple[Trial, ...]
    excluded: tuple[Excluded, ...]
    blobs: tuple[Blob, ...]
    document: bytes
    sha256: str
    estimate_s: float


@dataclass(frozen=True, slots=True)
class PreparedPlan:
    """A device's plan, the snapshot of facts that it was made for, and the worker that will execute it."""

    plan: DevicePlan
    snapshot: int
    worker_sha256: str


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """All that a device's plan depends on; `files` maps each path of `files_needed` to its blob."""

    sweep: Sweep
    model: Model
    device: Device
    facts: Facts
    offers: Sequence[RuntimeOffer]
    files: Mapping[str, Blob]


def files_needed(sweep: Sweep, model: Model) -> Mapping[str, BlobKind]:
    """Return the absolute path of every file that a sweep may send to a device, and what it is for."""
    paths = {_variant(model, name).path: BlobKind.MODEL for name in sweep.variants}
    if sweep.accuracy is not None:
        paths[_dataset(model, sweep.accuracy.dataset).path] = BlobKind.DATASET
    for runtime in sweep.runtimes:
        for _, path in runtime.program.files if runtime.program else ():
            paths.setdefault(path, BlobKind.FILE)
    return paths


def plan_device(inputs: PlanInputs) -> DevicePlan:
    """Decide everything that one device will do; pure, so that the same inputs give the same bytes anywhere."""
    sweep = inputs.sweep
    jobs, excluded = _admit(inputs)
    trials = (*_preflights(jobs), *_measure_trials(jobs, sweep, inputs.device.name))
    writer = _JobWriter(inputs)
    described = [writer.describe(job) for job in jobs]
    blobs = tuple(sorted(writer.blobs.values(), key=lambda blob: blob.sha256))
    document = _canonical(
        {
            "protocol": PLAN_PROTOCOL,
            "device": inputs.device.name,
            "sweep": sweep.name,
            "seed": sweep.order.seed,
            "jobs": described,
            "trials": [
                {"trial": trial.key, "job": trial.job, "kind": trial.kind.value, "index": trial.index}
                for trial in trials
            ],
            "measure": _describe_measure(sweep.measure),
            "limits": _describe_limits(inputs),
            "retries": {"failed": sweep.retries.failed, "invalid": sweep.retries.invalid},
            "blobs": [{"sha256": blob.sha256, "size": blob.size, "kind": blob.kind.value} for blob in blobs],
        }
    )
    return DevicePlan(
        device=inputs.device.name,
        jobs=jobs,
        trials=trials,
        excluded=excluded,
        blobs=blobs,
        document=document,
        sha256=hashlib.sha256(document).hexdigest(),
        estimate_s=_estimate_s(trials, sweep.measure),
    )


def _admit(inputs: PlanInputs) -> tuple[tuple[Job, ...], tuple[Excluded, ...]]:
    jobs: list[Job] = []
    excluded: list[Excluded] = []
    for cell in expand(inputs.sweep):
        reason = _objection(cell, inputs)
        if reason is None:
            jobs.append(_job(cell, inputs))
        else:
            excluded.append(Excluded(cell.label, reason))
    return tuple(jobs), tuple(excluded)


def _objection(cell: GridCell, inputs: PlanInputs) -> str | None:
    return (
        rule_against(inputs.sweep, inputs.device.name, cell)
        or _offer(cell.runtime, inputs).unavailable
        or _missing_on_device(cell.runtime, inputs.facts)
        or hardware_against(cell.settings, inputs.facts.cpu_count)
    )


def _missing_on_device(runtime: RuntimeSpec, facts: Facts) -> str | None:
    """Return why a device has no such runtime of its own; None if it has, or does not say."""
    known = facts.values.get("system_runtimes")
    if runtime.source is not RuntimeSource.SYSTEM or not isinstance(known, Mapping) or known.get(runtime.name):
        return None
    return f"the device has no {runtime.name} runtime of its own"


def _offer(runtime: RuntimeSpec, inputs: PlanInputs) -> RuntimeOffer:
    for offer in inputs.offers:
        if offer.runtime.label == runtime.label:
            return offer
    if runtime.source is RuntimeSource.BUNDLE:
        raise BlobError(f"{inputs.device.name}: nobody resolved {runtime.label}")
    return RuntimeOffer(runtime)


def _job(cell: GridCell, inputs: PlanInputs) -> Job:
    identity = [inputs.device.name, inputs.model.name, cell.variant, cell.runtime.label, dict(cell.settings)]
    key = hashlib.sha256(_canonical(identity)).hexdigest()[:12]
    return Job(key, cell.variant, cell.runtime, cell.settings, cell.label)


def _preflights(jobs: Iterable[Job]) -> Iterator[Trial]:
    for job in jobs:
        if job.runtime.source is not RuntimeSource.EXEC:
            yield _trial(job, TrialKind.PREFLIGHT, 0)


def _measure_trials(jobs: Sequence[Job], sweep: Sweep, device: str) -> Iterator[Trial]:
    if not sweep.order.interleave:
        for job in jobs:
            for index in range(1, sweep.trials + 1):
                yield _trial(job, TrialKind.MEASURE, index)
        return
    for index in range(1, sweep.trials + 1):
        for job in sorted(jobs, key=lambda job: _lot(sweep.order.seed, device, index, job.key)):
            yield _trial(job, TrialKind.MEASURE, index)


def _lot(seed: int, device: str, index: int, job: str) -> bytes:
    """Draw a job's place within a repeat: a hash, because random.Random may shuffle otherwise in another Python."""
    return hashlib.sha256(_canonical([seed, device, index, job])).digest()


def _trial(job: Job, kind: TrialKind, index: int) -> Trial:
    return Trial(f"{job.key}.{index}", job.key, kind, index)


class _JobWriter:
    """Describes jobs for the document, and gathers the blobs that they need."""

    def __init__(self, inputs: PlanInputs) -> None:
        self.blobs: dict[str, Blob] = {}
        self._inputs = inputs

    def describe(self, job: Job) -> dict[str, Any]:
        model, accuracy = self._inputs.model, self._inputs.sweep.accuracy
        variant = _variant(model, job.variant)
        dataset = _dataset(model, accuracy.dataset) if accuracy else None
        engine, program, bundle = engine_of(job.runtime), job.runtime.program, _offer(job.runtime, self._inputs).bundle
        return {
            "job": job.key,
            "label": job.label,
            "variant": job.variant,
            "runtime": job.runtime.label,
            "engine": engine.name,
            "module": engine.module,
            "settings": dict(job.settings),
            "python_path": [self._take(bundle).sha256] if bundle else [],
            "command": list(program.command) if program else None,
            "model": self._file(_base_name(variant.path), variant.path, variant.sha256),
            "files": [self._file(name, path) for name, path in program.files] if program else [],
            "input": {"low": float(model.input.low), "high": float(model.input.high)},
            "dataset": self._file(dataset.name, dataset.path, dataset.sha256) if dataset else None,
            "accuracy_metric": accuracy.metric if accuracy else None,
        }

    def _file(self, name: str, path: str, sha256: str | None = None) -> dict[str, Any]:
        blob = self._inputs.files.get(path)
        if blob is None:
            raise BlobError(f"{path}: nobody has read this file for the plan")
        if sha256 is not None and blob.sha256 != sha256:
            raise BlobError(
                f"{path}: its SHA-256 is {blob.sha256}, the model says {sha256}",
                hint=f"benchfleet models verify {self._inputs.model.directory}",
            )
        return {"name": name, "sha256": self._take(blob).sha256, "size": blob.size}

    def _take(self, blob: Blob) -> Blob:
        return self.blobs.setdefault(blob.sha256, blob)


def _variant(model: Model, name: str) -> Variant:
    try:
        return model.variants[name]
    except KeyError:
        raise ConfigError(
            f"model {model.name!r} has no variant {name!r}", hint=did_you_mean(name, model.variants)
        ) from None


def _dataset(model: Model, name: str) -> Dataset:
    try:
        return model.datasets[name]
    except KeyError:
        raise ConfigError(
            f"model {model.name!r} has no dataset {name!r}", hint=did_you_mean(name, model.datasets)
        ) from None


def _describe_measure(policy: MeasurePolicy) -> dict[str, Any]:
    return {
        "warmup_runs_min": policy.warmup_runs_min,
        "warmup_seconds_min": float(policy.warmup_seconds_min),
        "runs_min": policy.runs_min,
        "seconds_min": float(policy.seconds_min),
        "seconds_max": float(policy.seconds_max),
        "runs_max": policy.runs_max,
    }


def _describe_limits(inputs: PlanInputs) -> dict[str, Any]:
    limits = inputs.device.limits
    timeout_s = limits.trial_timeout_s if limits.trial_timeout_s is not None else inputs.sweep.trial_timeout_s
    return {
        "trial_timeout_s": float(timeout_s),
        "temperature_c_max": None if limits.temperature_c_max is None else float(limits.temperature_c_max),
        "memory_bytes_max": limits.memory_bytes_max,
        "cooldown_s_max": float(limits.cooldown_s_max),
    }


def estimate_s(preflights: int, measure_trials: int, measure_s: float) -> float:
    """Return about how long so many trials take, each of which measures for `measure_s`."""
    trials = preflights + measure_trials
    return round(trials * PROCESS_START_S + preflights * PREFLIGHT_S + measure_trials * measure_s, 3)


def _estimate_s(trials: Sequence[Trial], policy: MeasurePolicy) -> float:
    preflights = sum(trial.kind is TrialKind.PREFLIGHT for trial in trials)
    return estimate_s(preflights, len(trials) - preflights, policy.warmup_seconds_min + policy.seconds_min)


def _base_name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
