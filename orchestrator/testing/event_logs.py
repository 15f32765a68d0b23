"""Build runs, plans and event logs, for tests and benchmarks of the database."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

from device_worker.protocol import PROTOCOL_VERSION
from device_worker.protocol.records import encode_record
from device_worker.protocol.samples import encode_block, pack_samples
from device_worker.protocol.vocabulary import Event, FailureKind, Outcome, RunOutcome
from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.conversation import RecordsArrived
from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import StoreError
from orchestrator.domain.facts import Facts
from orchestrator.domain.model import Artifact, Format, Model, ModelInput, Variant
from orchestrator.domain.plan.compose import plan_device
from orchestrator.domain.plan.values import DevicePlan, PlanInputs, PreparedPlan, RuntimeOffer
from orchestrator.domain.run import RunHeader
from orchestrator.domain.runtime import ExecProgram, RuntimeSource, RuntimeSpec
from orchestrator.domain.sweep import Retries, Setting, Sweep
from orchestrator.store.base import Roles

WORKER_SHA256 = hashlib.sha256(b"worker").hexdigest()
RETRIES = Retries(failed=0, invalid=1)
STARTED_AT = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)
ONNX = RuntimeSpec("onnxruntime==1.20.1", RuntimeSource.BUNDLE, "onnxruntime", "1.20.1")
TFLITE = RuntimeSpec("tflite-runtime==2.14.0", RuntimeSource.BUNDLE, "tflite-runtime", "2.14.0")
LITERT = RuntimeSpec("ai-edge-litert==2.3.0", RuntimeSource.BUNDLE, "ai-edge-litert", "2.3.0")
PROGRAM = RuntimeSpec("exec/bench", RuntimeSource.EXEC, "bench", None, ExecProgram(("./bench", "{model}")))

CONDITIONS: Mapping[str, Any] = {
    "temperature_c": 48.5,
    "cpu_mhz": 1800.0,
    "governor": "performance",
    "throttled": False,
    "load_1m": 0.1,
    "memory_available_bytes": 3_000_000_000,
    "clock_unix_ns": 1_772_353_800_000_000_000,  # STARTED_AT: no device's clock is off
}
FACTS: Mapping[str, Any] = {
    "machine": "aarch64",
    "cpu_model": "Cortex-A76",
    "cpu_count": 4,
    "memory_bytes": 8_000_000_000,
    "board_model": "Raspberry Pi 5",
    "kernel": "6.6.20",
    "python": "3.11.2",
    "libc_name": "glibc",
    "libc_version": "2.36",
    "governor": "performance",
}


def sample_device(name: str = "pi-03", **tags: str) -> Device:
    """Return a device of an inventory."""
    return Device(name, TransportKind.SSH, host=f"{name}.lab", tags=tags)


def sample_model(name: str = "digits") -> Model:
    """Return a model of three variants: fp32, fp16 made from fp32, and int8 made from fp16."""
    parents = {"fp32": None, "fp16": "fp32", "int8": "fp16"}
    variants = {
        variant: Variant(
            variant,
            (Artifact(Format.TFLITE, f"/models/{name}/{name}-{variant}.tflite", _sha256(f"{name} {variant}")),),
            variant,
            "post-training" if parent else "trained",
            parent,
            {"top1": 0.97},
        )
        for variant, parent in parents.items()
    }
    return Model(
        name, f"/models/{name}", f"The {name} model", "classification", ModelInput((1, 8, 8, 1), "f4", 0, 1), variants
    )


def with_onnx(model: Model, variant: str) -> Model:
    """Return the model with an ONNX artifact beside a variant's others."""
    known = model.variants[variant]
    path = f"{model.directory}/{model.name}-{variant}.onnx"
    artifact = Artifact(Format.ONNX, path, _sha256(path))
    return replace(model, variants={**model.variants, variant: replace(known, artifacts=(*known.artifacts, artifact))})


def sample_header(run: str, sweep: Sweep, model: Model, started_at: datetime = STARTED_AT) -> RunHeader:
    """Return the header of a run."""
    return RunHeader(
        run=run,
        sweep=sweep.name,
        sweep_document=f"name: {sweep.name}\n",
        sweep_source=f"sweeps/{sweep.name}.yaml",
        model=model.name,
        model_directory=model.directory,
        seed=sweep.order.seed,
        started_at=started_at,
        controller="desk benchfleet 0.1.0",
        settings={"devices": ["pi-*"]},
    )


def sample_sweep(
    variants: Sequence[str] = ("fp32", "int8"),
    runtimes: Sequence[RuntimeSpec] = (TFLITE,),
    matrix: Mapping[str, tuple[Setting, ...]] | None = None,
    trials: int = 3,
    retries: Retries = RETRIES,
) -> Sweep:
    """Return a small sweep."""
    return Sweep(
        "digits-variants",
        "digits",
        tuple(variants),
        tuple(runtimes),
        {"threads": (1,)} if matrix is None else matrix,
        trials=trials,
        retries=retries,
    )


def sample_plan(device: Device, sweep: Sweep, model: Model, *further: Model) -> DevicePlan:
    """Return the real planner's plan of a sweep. Each runtime has a bundle. `further` are models behind the first."""
    files = {
        # Sizes differ, so that a test notices two artifacts mixed up.
        artifact.path: Blob(artifact.sha256, 21_000 + number, BlobKind.MODEL, artifact.file_name)
        for number, artifact in enumerate(
            artifact for one in (model, *further) for variant in one.variants.values() for artifact in variant.artifacts
        )
    }
    offers = [
        RuntimeOffer(runtime, Blob(_sha256(runtime.label), 50_000_000, BlobKind.BUNDLE, runtime.label))
        for runtime in sweep.runtimes
        if runtime.source is RuntimeSource.BUNDLE
    ]
    return plan_device(PlanInputs(sweep, model, device, Facts(FACTS), offers, files, further=further))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Sampled:
    """Hold samples of one metric, packed as by a worker."""

    name: str
    samples: Sequence[int]
    batch: int = 1

    def report(self) -> dict[str, Any]:
        """Return the metric in the form of `trial-finished`."""
        codec, data, crc32 = pack_samples(self.samples)
        packed = {
            "codec": codec,
            "count": len(self.samples),
            "crc32": crc32,
            "data": base64.b64encode(data).decode("ascii"),
        }
        return {"name": self.name, "batch": self.batch, "samples": packed}


def number(name: str, value: float) -> dict[str, Any]:
    """Return a metric with a single number."""
    return {"name": name, "value": value}


def absent(name: str, reason: str) -> dict[str, Any]:
    """Return a metric that the worker could not measure."""
    return {"name": name, "value": None, "reason": reason}


def power_figure(name: str, value: float, source: str = "rapl") -> dict[str, Any]:
    """Return a metric of a power source."""
    return {"name": name, "value": value, "source": source}


def power_account(source: str | None = "rapl", **said: Any) -> dict[str, Any]:
    """Return a worker's account of power for one attempt. `said` replaces fields of the account."""
    account = {
        "source": source,
        "kind": None if source is None else "energy-counter",
        "period_s": None if source is None else 0.04,
        "samples": 0 if source is None else 30,
        "rate_hz": None if source is None else 24.5,
        "idle_w": None,
        "idle_u95_w": None,
        "idle_before_w": None,
        "idle_after_w": None,
        "invoked_ratio": None,
        "is_estimate": None if source is None else False,
        "accuracy_ratio": None,
        "overhead_cpu_ns": 0 if source is None else 1_500_000,
        "reason": "the device has no power source" if source is None else None,
        "energy_reason": None,
        "caution": None,
    }
    return {**account, **said}


def power_trace(values: Sequence[int], interval_ns: int = 40_000_000) -> dict[str, Any]:
    """Return the packed readings of an account of power, taken at even intervals."""
    intervals_ns = [interval_ns if index else 0 for index in range(len(values))]
    return {"begin_mono_ns": 1_000, "intervals_ns": encode_block(intervals_ns), "values": encode_block(values)}


def profile(*operators: tuple[str, str, float], runs: int = 20, placed_on: str | None = None) -> dict[str, Any]:
    """Return an operator profile. `operators` are kinds, names and times in ns, one call an inference."""
    total_ns = sum(mean_ns for _, _, mean_ns in operators)
    return {
        "runs": runs,
        "operators": [
            {
                "operator": operator,
                "name": name,
                "placed_on": placed_on,
                "calls": runs,
                "mean_ns": mean_ns,
                "share": mean_ns / total_ns,
            }
            for operator, name, mean_ns in operators
        ],
    }


def outputs(values: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Return the outputs of a preflight: a row of values for each input."""
    flat = [value for row in values for value in row]
    return {
        "count": len(values),
        "values_per_output": len(values[0]),
        "dtype": "f4",
        "data": base64.b64encode(struct.pack(f"<{len(flat)}f", *flat)).decode("ascii"),
        "inputs": "dataset",
        "top1": [max(range(len(row)), key=row.__getitem__) for row in values],
    }


def input_results(
    right: Sequence[bool], dataset_sha256: str = "d" * 64, metric: str = "accuracy_top1"
) -> dict[str, Any]:
    """Return which inputs of a data set a trial got right, as the worker says it."""
    # The protocol has input 0 in the lowest bit of the first byte.
    packed = sum(flag << index for index, flag in enumerate(right)).to_bytes((len(right) + 7) // 8, "little")
    return {
        "metric": metric,
        "dataset_sha256": dataset_sha256,
        "encoding": "bits",
        "count": len(right),
        "data": base64.b64encode(packed).decode("ascii"),
    }


class EventLog:
    """Build the log of one device of a run. Each method appends a record, and returns the log."""

    def __init__(self, run: str, plan: DevicePlan, log_id: str = "log-1", worker_sha256: str = WORKER_SHA256) -> None:
        self.run = run
        self.device = plan.device
        self.log_id = log_id
        self.lines: list[bytes] = []
        self._jobs = {trial.key: trial.job for trial in plan.trials}
        self.append(
            Event.LOG_OPENED,
            log_id=log_id,
            protocol=PROTOCOL_VERSION,
            run=run,
            device=plan.device,
            plan_sha256=plan.sha256,
            worker_sha256=worker_sha256,
        )

    @property
    def last_seq(self) -> int:
        """Return the number of the last record."""
        return len(self.lines)

    def append(self, kind: str, **fields: Any) -> Self:
        """Append a record of any kind, sensible or not."""
        seq = len(self.lines) + 1
        # Made-up clocks, so that the same log has the same bytes in every test.
        clocks = {"at_unix_ns": 1_772_353_800_000_000_000 + seq * 1_000_000_000, "at_mono_ns": seq * 1_000_000_000}
        self.lines.append(encode_record({"seq": seq, "kind": kind, **clocks, **fields}))
        return self

    def runner_started(self) -> Self:
        """Append the begin of a runner."""
        return self.append(Event.RUNNER_STARTED, boot_id="b00", pid=4711, python="3.11.2", skip=0)

    def started(self, trial: str, attempt: int = 1) -> Self:
        """Append the begin of an attempt."""
        return self.append(
            Event.TRIAL_STARTED, trial=trial, job=self._jobs[trial], attempt=attempt, conditions=CONDITIONS
        )

    def finished(
        self, trial: str, metrics: Iterable[Sampled | Mapping[str, Any]] = (), attempt: int = 1, **fields: Any
    ) -> Self:
        """Append the end of an attempt: ok and valid, unless `fields` say otherwise."""
        event = {
            "outcome": Outcome.OK,
            "failure": None,
            "duration_ns": 1_500_000_000,
            "conditions": {**CONDITIONS, "temperature_c": 52.0},
            "conditions_before": CONDITIONS,
            "invalid": [],
            "runtime": {"name": "tflite-runtime", "version": "2.14.0", "kernels": "xnnpack"},
            "metrics": [metric.report() if isinstance(metric, Sampled) else dict(metric) for metric in metrics],
            "outputs": None,
            "exclusive": True,
            **fields,
        }
        return self.append(Event.TRIAL_FINISHED, trial=trial, job=self._jobs[trial], attempt=attempt, **event)

    def failed(self, trial: str, kind: str = FailureKind.LOAD, message: str = "no such op", attempt: int = 1) -> Self:
        """Append the failure of an attempt."""
        failure = {"kind": kind, "message": message, "signal": None, "exit_code": 1, "stderr_tail": "Traceback"}
        return self.finished(trial, attempt=attempt, outcome=Outcome.FAILED, failure=failure, runtime=None)

    def skipped(self, trial: str, reason: str = "its preflight failed: no such op") -> Self:
        """Append the skip of a trial."""
        return self.append(Event.TRIAL_SKIPPED, trial=trial, job=self._jobs[trial], reason=reason)

    def spared(self, trial: str, reason: str = "stop rule: 7 trials agree within 0.7 %, and 1 % is asked for") -> Self:
        """Append the end of a cell by the stop rule, for one of the cell's trials."""
        return self.append(Event.TRIAL_SPARED, trial=trial, job=self._jobs[trial], reason=reason)

    def run_finished(self, outcome: str = RunOutcome.COMPLETE) -> Self:
        """Append the end of the runner."""
        return self.append(Event.RUN_FINISHED, outcome=outcome)

    def arrived(self, first: int = 1, last: int | None = None) -> RecordsArrived:
        """Return a session's report of the records `first` to `last`."""
        last = self.last_seq if last is None else last
        lines = b"".join(self.lines[first - 1 : last])
        return RecordsArrived(self.device, self.run, self.log_id, first, last, lines)


def save_snapshot(store: Roles, device: Device, facts: Facts, taken_at: datetime) -> int:
    """Store a device's facts, and return the id of the snapshot. Raise StoreError if the facts are refused."""
    snapshot = store.devices.save_snapshots([(device, facts)], taken_at)[device.name]
    if isinstance(snapshot, StoreError):
        raise snapshot
    return snapshot


def save_plan(store: Roles, run: str, plan: DevicePlan, snapshot: int, worker_sha256: str) -> None:
    """Store a device's plan. Raise the error if the plan is refused."""
    # Refusals are returned, since a run goes on without a refused device. A test has one device alone.
    for refused in store.plans.save_plans(run, [PreparedPlan(plan, snapshot, worker_sha256)]).values():
        raise refused
