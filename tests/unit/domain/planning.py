"""Inputs of plans, small enough to read and large enough to have an order."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.device import CPUS_SETTING, Device, TransportKind
from orchestrator.domain.facts import Facts
from orchestrator.domain.model import Artifact, Dataset, Format, Model, ModelInput, Variant
from orchestrator.domain.plan.admit import files_needed
from orchestrator.domain.plan.values import PlanInputs, RuntimeOffer
from orchestrator.domain.runtime import ExecProgram, RuntimeSource, RuntimeSpec
from orchestrator.domain.sweep import Accuracy, Order, Sweep

OLD = RuntimeSpec("tflite-runtime==2.14.0", RuntimeSource.BUNDLE, "tflite-runtime", "2.14.0")
NEW = RuntimeSpec("ai-edge-litert==2.3.0", RuntimeSource.BUNDLE, "ai-edge-litert", "2.3.0")
SYSTEM = RuntimeSpec("system/tflite", RuntimeSource.SYSTEM, "tflite")
ONNX = RuntimeSpec("onnxruntime==1.20.1", RuntimeSource.BUNDLE, "onnxruntime", "1.20.1")
TENSORFLOW = RuntimeSpec("tensorflow==2.21.0", RuntimeSource.BUNDLE, "tensorflow", "2.21.0")
PROGRAM = RuntimeSpec(
    "exec/demo",
    RuntimeSource.EXEC,
    "demo",
    program=ExecProgram(("sh", "bench.sh", "-v"), (("bench.sh", "/sweeps/bench.sh"), ("x.bin", "/sweeps/data/x.bin"))),
)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def artifact(name: str, form: Format) -> Artifact:
    path = f"/models/digits/digits-{name}.{form}"
    return Artifact(form, path, sha256(path))


def variant(name: str) -> Variant:
    return Variant(name, (artifact(name, Format.TFLITE),), name, "by hand")


MODEL = Model(
    name="digits",
    directory="/models/digits",
    description="digits",
    task="classification",
    input=ModelInput((1, 8, 8, 1), "float32", 0, 1),
    variants={name: variant(name) for name in ("fp32", "fp16", "int8")},
    datasets={"test.npz": Dataset("test.npz", "/models/digits/test.npz", sha256("/models/digits/test.npz"), 3)},
)
SWEEP = Sweep(
    name="quick",
    model="/models/digits",
    variants=("fp32", "int8"),
    runtimes=(OLD, NEW),
    matrix={"threads": (1, 2)},
    trials=3,
    accuracy=Accuracy("test.npz"),
    order=Order(seed=7),
)
DEVICE = Device("pi-03", TransportKind.SSH, allow=(CPUS_SETTING,))
FACTS = Facts({"cpu_count": 4})


def offer(runtime: RuntimeSpec) -> RuntimeOffer:
    if runtime.version is None:
        return RuntimeOffer(runtime)
    return RuntimeOffer(runtime, Blob(sha256(runtime.label), 1000, BlobKind.BUNDLE, runtime.label))


def with_artifacts(name: str, *forms: Format) -> Model:
    """Return the model with a variant that comes in these formats."""
    changed = replace(MODEL.variants[name], artifacts=tuple(artifact(name, form) for form in forms))
    return replace(MODEL, variants={**MODEL.variants, name: changed})


def inputs(sweep: Sweep = SWEEP, model: Model = MODEL, **changes: Any) -> PlanInputs:
    files = {
        path: Blob(sha256(path), len(path), kind, path.rsplit("/", 1)[-1])
        for path, kind in files_needed(sweep, model, *changes.get("further", ())).items()
    }
    offers = tuple(offer(runtime) for runtime in sweep.runtimes)
    return replace(PlanInputs(sweep, model, DEVICE, FACTS, offers, files), **changes)
