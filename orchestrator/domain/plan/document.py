"""Write the document shipped to a device, and read documents back. No other module knows the plan's keys.

`docs/worker-protocol.md` describes the document. Old databases hold documents of older controllers, without later keys.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.device import CONDITION_LIMITS, GOVERNOR_LIMIT
from orchestrator.domain.expansion import model_in
from orchestrator.domain.log_bounds import LogBounds
from orchestrator.domain.model import ModelOutput, StatePolicy
from orchestrator.domain.plan.endpoint import read_endpoint, write_endpoint
from orchestrator.domain.plan.inputs import ShippedFile as ShippedFile
from orchestrator.domain.plan.inputs import ShippedInput as ShippedInput
from orchestrator.domain.plan.inputs import read_file, read_input, write_file, write_input
from orchestrator.domain.plan.power_time import PowerTime
from orchestrator.domain.plan.values import Trial, TrialKind
from orchestrator.domain.runtime import Endpoint
from orchestrator.domain.sweep import ALL_NODES, Delegation, MeasurePolicy, Retries, Stop

PLAN_PROTOCOL = 1
"""The version of docs/worker-protocol.md for the document. A test compares the worker's version."""

PROCESS_START_S = 1.0
"""Cost in seconds of a trial's start: interpreter, runtime and model. A value between a PC and a Pi."""

PREFLIGHT_S = 1.0
"""Cost in seconds of a preflight, or of a profile, beyond its start: inferences, and the data set for accuracy."""

IDLE_S = 5.0
"""How long a runner measures idle power before its first measure trial, unless its source needs longer."""

IDLE_S_MAX = 60.0
"""How long a runner measures idle power at most, whatever its power source."""

UNPACK_BYTES_PER_S = 250_000
COPY_BYTES_PER_S = 4_000_000
"""What a worn SD card unpacks of a bundle's thousands of small files, and what it copies of large files."""

SILENCE_SLACK_S = 60.0
"""What a runner does between two records beside waiting and measuring: read sensors and sync the disk."""

DYING_S = 50.0
"""How long a runner waits for killed processes: a sync to a worn card or a network disk ends late."""

COOLING_READ_S = 3.0
"""A wait for cooling ends with a reading of the temperature, which a slow sensor may draw out for so long."""

LOST_ATTEMPTS = 3
"""How many attempts a dead runner may leave without an end, for each attempt that has one."""

RECORDS_SLACK = 200
"""Records beside those of trials: the begin and the end of each runner."""


@dataclass(frozen=True, slots=True)
class ShippedJob:
    """Hold a job as read by the device. `bundles` are hashes.

    `inputs` declares inputs by name, `input` declares every other one, and `output` declares the judged output.
    """

    key: str
    label: str
    variant: str
    runtime: str
    engine: str
    module: str | None
    settings: Mapping[str, Any]
    bundles: tuple[str, ...]
    command: tuple[str, ...] | None
    model: ShippedFile
    files: tuple[ShippedFile, ...]
    input: ShippedInput
    dataset: ShippedFile | None
    accuracy_metric: str | None
    inputs: Mapping[str, ShippedInput] = field(default_factory=dict)
    output: ModelOutput | None = None
    delegation: Delegation = ALL_NODES
    endpoint: Endpoint | None = None
    state: StatePolicy = StatePolicy.KEEP

    @property
    def input_files(self) -> Sequence[ShippedFile]:
        """Return the files that inputs are taken from."""
        return [one.file for one in (self.input, *self.inputs.values()) if one.file is not None]

    @property
    def swept_model(self) -> str | None:
        """Return the model's name in a plan of several models; None in a plan of one."""
        return model_in(self.label)


@dataclass(frozen=True, slots=True)
class ShippedLimits:
    """Hold the bounds of a device's trials. None is no bound. `conditions` has the limit of each watched condition."""

    trial_timeout_s: float
    memory_bytes_max: int | None
    cooldown_s_max: float
    conditions: Mapping[str, float | str]
    cooldown_to_c: float | None = None


@dataclass(frozen=True, slots=True)
class ShippedPlan:
    """Hold the content of a plan's document. Trials are in the order of execution.

    `environment` has variables for the trials. None is the value of the device's login.
    """

    device: str
    sweep: str
    seed: int
    jobs: Sequence[ShippedJob]
    trials: Sequence[Trial]
    measure: MeasurePolicy
    limits: ShippedLimits
    retries: Retries
    blobs: Sequence[Blob]
    environment: Mapping[str, str | None] = field(default_factory=dict)
    stop: Stop | None = None
    governor: str | None = None
    power: Mapping[str, Any] | None = None


def write_document(plan: ShippedPlan) -> bytes:
    """Return the bytes of a plan as canonical JSON. Equal plans have equal hashes on every controller."""
    # Absent where there is nothing to say, as in the plans of older controllers.
    further: dict[str, Any] = {} if plan.stop is None else {"stop": _write_stop(plan.stop)}
    if plan.environment:
        further["environment"] = dict(plan.environment)
    if plan.governor is not None:
        further["control"] = {"governor": plan.governor}
    if plan.power is not None:
        further["power"] = {"idle_s": IDLE_S, **plan.power}
    return canonical(
        {
            **further,
            "protocol": PLAN_PROTOCOL,
            "device": plan.device,
            "sweep": plan.sweep,
            "seed": plan.seed,
            "jobs": [_write_job(job) for job in plan.jobs],
            "trials": [
                {"trial": trial.key, "job": trial.job, "kind": trial.kind.value, "index": trial.index}
                for trial in plan.trials
            ],
            "measure": _write_measure(plan.measure),
            "limits": {
                "trial_timeout_s": plan.limits.trial_timeout_s,
                "temperature_c_max": None,  # always there, so that plans keep the bytes that earlier releases gave them
                "memory_bytes_max": plan.limits.memory_bytes_max,
                "cooldown_s_max": plan.limits.cooldown_s_max,
                **({} if plan.limits.cooldown_to_c is None else {"cooldown_to_c": plan.limits.cooldown_to_c}),
                **plan.limits.conditions,
            },
            "retries": {"failed": plan.retries.failed, "invalid": plan.retries.invalid},
            "blobs": [{"sha256": blob.sha256, "size": blob.size, "kind": blob.kind.value} for blob in plan.blobs],
        }
    )


def canonical(value: object) -> bytes:
    """Return the canonical JSON of a value: sorted keys, no blanks, ASCII. Raise ValueError for NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def planned_jobs(document: bytes) -> tuple[ShippedJob, ...]:
    """Return the jobs of a plan, in order."""
    return tuple(_read_job(job) for job in json.loads(document)["jobs"])


def planned_trials(document: bytes) -> frozenset[str]:
    """Return the keys of every trial of a plan."""
    return frozenset(trial["trial"] for trial in json.loads(document)["trials"])


def planned_blobs(document: bytes) -> tuple[Blob, ...]:
    """Return every blob of a plan."""
    blobs = json.loads(document)["blobs"]
    # A plan has no names of blobs, since contents are found by their hash. Messages show the hash instead.
    return tuple(Blob(b["sha256"], b["size"], BlobKind(b["kind"]), b["sha256"][:12]) for b in blobs)


def narrowed_plan(document: bytes, job: str) -> bytes:
    """Return a plan of one job of a plan, by the job's key. Blobs of the other jobs are left out."""
    plan = json.loads(document)
    plan["jobs"] = [one for one in plan["jobs"] if one["job"] == job]
    plan["trials"] = [one for one in plan["trials"] if one["job"] == job]
    plan["blobs"] = [one for one in plan["blobs"] if one["sha256"] in _hashes(_read_job(plan["jobs"][0]))]
    # The plans before had the trials of all jobs.
    plan.pop("extends", None)
    return canonical(plan)


def _hashes(job: ShippedJob) -> Collection[str]:
    files = [job.model, *job.files, *job.input_files, *([job.dataset] if job.dataset else [])]
    return {*job.bundles, *(file.sha256 for file in files)}


def condition_limits(document: bytes | str) -> Mapping[str, Any]:
    """Return the limits of conditions set by a plan, by key."""
    limits = json.loads(document)["limits"]
    return {key: limits[key] for key in (*CONDITION_LIMITS, GOVERNOR_LIMIT) if limits.get(key) is not None}


def granted_retries(document: bytes | str) -> Retries:
    """Return the number of further attempts granted by a plan. Plans without the key grant none."""
    granted = json.loads(document).get("retries", {})  # the first releases wrote no such key
    return Retries(granted.get("failed", 0), granted.get("invalid", 0))


def remaining_s(document: bytes, done: Collection[str], power: PowerTime) -> float:
    """Return an estimate of a plan's duration on the device, in seconds, without the trials named in `done`.

    `power` is what the measurement of power adds there.
    """
    plan = json.loads(document)
    kinds = [trial["kind"] for trial in plan["trials"] if trial["trial"] not in done]
    measured = kinds.count(TrialKind.MEASURE.value)
    measure = plan["measure"]
    trial_s = measure["warmup_seconds_min"] + max(measure["seconds_min"], power.window_s) + power.each_s
    return estimate_s(len(kinds) - measured, measured, trial_s, power.first_s if measured else 0.0)


def longest_s(document: bytes, done: Collection[str]) -> float:
    """Return the longest duration of the trials missing from `done`, in seconds, without cooling and retries.

    A slow model needs `runs_min` of its latency rather than `seconds_min`. Warm-up and measurement each end after
    `seconds_max`, and the process ends at its timeout.
    """
    plan = json.loads(document)
    trials = sum(trial["trial"] not in done for trial in plan["trials"])
    longest_trial_s = PROCESS_START_S + 2 * plan["measure"]["seconds_max"]
    return float(trials * min(plan["limits"]["trial_timeout_s"], longest_trial_s))


def log_bounds(document: bytes) -> LogBounds:
    """Return the bounds on the log of an honest runner.

    The longest silence is a whole attempt's: cooling, idle power, unpacking, the process up to its timeout. Each record
    but a few belongs to an attempt, and the plan grants so many.
    """
    plan = json.loads(document)
    limits, retries = plan["limits"], granted_retries(document)
    waiting_s = limits["cooldown_s_max"] + COOLING_READ_S + 2 * IDLE_S_MAX  # before the trial, and after
    attempt_s = waiting_s + _longest_placing_s(plan) + limits["trial_timeout_s"] + DYING_S
    attempts = len(plan["trials"]) * (1 + retries.failed + retries.invalid) * (1 + LOST_ATTEMPTS)
    # Twice: an attempt has a record of the begin, and a record of the end.
    return LogBounds(SILENCE_SLACK_S + attempt_s, RECORDS_SLACK + 2 * attempts)


def _longest_placing_s(plan: Mapping[str, Any]) -> float:
    """Return the longest time in seconds to unpack the bundles of a job, and to lay out the job's files."""
    sizes = {blob["sha256"]: blob["size"] for blob in plan["blobs"]}

    def placing_s(job: Mapping[str, Any]) -> float:
        inputs = [one["file"] for one in (job["input"], *job.get("inputs", {}).values()) if "file" in one]
        files = [*job["files"], *inputs, *(file for file in (job["model"], job["dataset"]) if file)]
        bundles = sum(sizes.get(sha256, 0) for sha256 in job["python_path"])
        return float(bundles / UNPACK_BYTES_PER_S + sum(file["size"] for file in files) / COPY_BYTES_PER_S)

    return max((placing_s(job) for job in plan["jobs"]), default=0.0)


def estimate_s(others: int, measure_trials: int, measure_s: float, once_s: float = 0.0) -> float:
    """Return an estimate of the duration of trials, in seconds, with `measure_s` in each measure trial.

    `others` are preflights and profiles. `once_s` is spent once, before the first measure trial.
    """
    trials = others + measure_trials
    # Rounded: the sum of floats would show digits that mean nothing.
    return round(once_s + trials * PROCESS_START_S + others * PREFLIGHT_S + measure_trials * measure_s, 3)


def _write_job(job: ShippedJob) -> dict[str, Any]:
    declared: dict[str, Any] = {}
    # Absent where there is nothing to say, as in the plans of older controllers.
    if job.inputs:
        declared["inputs"] = {name: write_input(one) for name, one in job.inputs.items()}
    if job.output is not None:
        declared["output"] = {"name": job.output.name, "shape": list(job.output.shape)}
    if job.delegation != ALL_NODES:
        asked = job.delegation
        declared["delegation"] = {"nodes_min": float(asked.nodes_min), "allow_fallback": asked.allow_fallback}
    if job.endpoint is not None:
        declared["endpoint"] = write_endpoint(job.endpoint)
    if job.state is not StatePolicy.KEEP:
        declared["state"] = job.state.value
    return {
        **declared,
        "job": job.key,
        "label": job.label,
        "variant": job.variant,
        "runtime": job.runtime,
        "engine": job.engine,
        "module": job.module,
        "settings": dict(job.settings),
        "python_path": list(job.bundles),
        "command": None if job.command is None else list(job.command),
        "model": write_file(job.model),
        "files": [write_file(file) for file in job.files],
        "input": write_input(job.input),
        "dataset": write_file(job.dataset) if job.dataset else None,
        "accuracy_metric": job.accuracy_metric,
    }


def _read_job(job: Mapping[str, Any]) -> ShippedJob:
    command, dataset, output = job["command"], job["dataset"], job.get("output")
    return ShippedJob(
        key=job["job"],
        label=job["label"],
        variant=job["variant"],
        runtime=job["runtime"],
        engine=job["engine"],
        module=job["module"],
        settings=job["settings"],
        bundles=tuple(job["python_path"]),
        command=None if command is None else tuple(command),
        model=read_file(job["model"]),
        files=tuple(read_file(file) for file in job["files"]),
        input=read_input(job["input"]),
        dataset=read_file(dataset) if dataset else None,
        accuracy_metric=job["accuracy_metric"],
        inputs={name: read_input(one) for name, one in job.get("inputs", {}).items()},
        output=ModelOutput(tuple(output["shape"]), output["name"]) if output else None,
        delegation=Delegation(**job["delegation"]) if "delegation" in job else ALL_NODES,
        endpoint=read_endpoint(job),
        state=StatePolicy(job.get("state", StatePolicy.KEEP)),
    )


def _write_stop(stop: Stop) -> dict[str, Any]:
    return {
        "ci_halfwidth": float(stop.ci_halfwidth),
        "trials_max": stop.trials_max,
        "device_s_max": None if stop.device_s_max is None else float(stop.device_s_max),
    }


def _write_measure(policy: MeasurePolicy) -> dict[str, Any]:
    rate_per_s = None if policy.rate_per_s is None else float(policy.rate_per_s)
    p99_ns_max = None if policy.p99_ms_max is None else round(policy.p99_ms_max * 1e6)
    asked = {
        "scenario": policy.scenario,
        "streams": policy.streams,
        "rate_per_s": rate_per_s,
        "p99_ns_max": p99_ns_max,
    }
    return {
        **{key: value for key, value in asked.items() if value is not None},
        "warmup_runs_min": policy.warmup_runs_min,
        # As floats: `2` and `2.0` in a sweep would be two plans of different bytes.
        "warmup_seconds_min": float(policy.warmup_seconds_min),
        "runs_min": policy.runs_min,
        "seconds_min": float(policy.seconds_min),
        "seconds_max": float(policy.seconds_max),
        "runs_max": policy.runs_max,
    }
