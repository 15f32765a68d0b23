"""Make up a lab: devices of several classes, models with variants, and the cells of every night."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.model import Artifact, Format, Model, ModelInput, Variant
from orchestrator.domain.runtime import RuntimeSource, RuntimeSpec
from orchestrator.domain.sweep import Order, Sweep

PREFIX = "demo-"
"""The beginning of every made-up name, so that nobody takes the figures for measured."""

TRIALS = 2  # the fewest that give a ratio an interval, so that a year stays small
TFLITE = RuntimeSpec("tflite-runtime==2.14.0", RuntimeSource.BUNDLE, "tflite-runtime", "2.14.0")
LITERT = RuntimeSpec("ai-edge-litert==2.3.0", RuntimeSource.BUNDLE, "ai-edge-litert", "2.3.0")
_RUNTIMES = (TFLITE, LITERT)
_RUNTIME_FACTORS: Mapping[str, float] = {TFLITE.label: 1.0, LITERT.label: 0.96}
_THREAD_FACTORS: Mapping[int, float] = {4: 1.0, 1: 2.7}  # not 4.0: some of each inference runs on one thread
_CELLS_BY_MODEL_MIN = 5


@dataclass(frozen=True, slots=True)
class DeviceClass:
    """Describe a kind of board. `slowness` is a factor on a desktop's latency, `noise` the deviation of trials.

    `power` is source, kind and the watts above idle. `temperature_c` is the usual temperature.
    """

    name: str
    machine: str
    slowness: float
    noise: float
    temperature_c: float
    cpu_mhz: float
    facts: Mapping[str, Any]
    power: tuple[str, str, float] | None = None

    @property
    def is_arm(self) -> bool:
        """Say whether the processor is an Arm."""
        return self.machine == "aarch64"


def _board(cpu: str, cpus: int, gigabytes: int, board: str | None, system: tuple[str, str, str]) -> dict[str, Any]:
    os_id, os_version, kernel = system
    return {
        "cpu_model": cpu,
        "cpu_count": cpus,
        "memory_bytes": gigabytes << 30,
        "board_model": board,
        "os_id": os_id,
        "os_version": os_version,
        "kernel": kernel,
        "python": "3.11.2",
        "libc_name": "glibc",
        "libc_version": "2.36",
        "governor": "performance",
    }


_DEBIAN = ("debian", "12", "6.1.0-18")
_UBUNTU = ("ubuntu", "22.04", "5.15.136")
CLASSES: Sequence[DeviceClass] = (
    DeviceClass(
        "desk",
        "x86_64",
        1.0,
        0.006,
        46.0,
        4700.0,
        _board("Core i7-12700", 12, 32, None, _DEBIAN),
        ("rapl", "energy-counter", 38.0),
    ),
    DeviceClass("pi5", "aarch64", 3.1, 0.010, 55.0, 2400.0, _board("Cortex-A76", 4, 8, "Raspberry Pi 5", _DEBIAN)),
    DeviceClass(
        "jetson",
        "aarch64",
        2.2,
        0.012,
        51.0,
        1728.0,
        _board("Cortex-A78AE", 6, 8, "Jetson Orin Nano", _UBUNTU),
        ("hwmon ina3221 VDD_IN", "power-gauge", 6.5),
    ),
    DeviceClass("pi4", "aarch64", 6.4, 0.018, 61.0, 1800.0, _board("Cortex-A72", 4, 4, "Raspberry Pi 4", _DEBIAN)),
    DeviceClass(
        "server",
        "x86_64",
        0.8,
        0.004,
        42.0,
        3400.0,
        _board("Xeon Silver 4310", 24, 64, None, _DEBIAN),
        ("rapl", "energy-counter", 75.0),
    ),
)


@dataclass(frozen=True, slots=True)
class DemoDevice:
    """Hold a made-up device of a class."""

    name: str
    kind: DeviceClass

    @property
    def declared(self) -> Device:
        """Return the device as an inventory would declare it."""
        # RFC 6761 reserves .invalid: nobody can run a sweep on a made-up device by accident.
        return Device(self.name, TransportKind.SSH, host=f"{self.name}.invalid", tags={"class": self.kind.name})


@dataclass(frozen=True, slots=True)
class VariantKind:
    """Describe a variant beside fp32: factors on latency and size, and the loss of accuracy."""

    name: str
    made: str
    on_x86: float
    on_arm: float
    size: float
    accuracy_loss: float


_VARIANTS = (
    VariantKind("fp32", "trained", 1.0, 1.0, 1.0, 0.0),
    # Slower on x86 and faster on Arm: the best variant has to depend on the device, as in a real lab.
    VariantKind("int8", "full-integer quantisation", 1.3, 0.38, 0.26, 0.011),
    VariantKind("fp16", "post-training float16", 1.0, 0.79, 0.5, 0.0004),
    VariantKind("dynamic", "dynamic-range quantisation", 0.74, 0.61, 0.27, 0.004),
    VariantKind("pruned", "pruned to 60 %", 0.87, 0.9, 0.62, 0.008),
)
_KINDS = {kind.name: kind for kind in _VARIANTS}


@dataclass(frozen=True, slots=True)
class DemoModel:
    """Describe a made-up model by its fp32 on a desktop."""

    name: str
    latency_ns: float
    size_bytes: int
    accuracy: float


_MODELS = (
    DemoModel("digits", 1_900_000.0, 412_000, 0.974),
    DemoModel("keywords", 6_300_000.0, 2_150_000, 0.931),
    DemoModel("mobilenet", 37_000_000.0, 13_980_000, 0.718),
)


@dataclass(frozen=True, slots=True)
class DemoCell:
    """Name a cell of a model, on whichever device."""

    model: DemoModel
    variant: str
    runtime: RuntimeSpec
    threads: int

    @property
    def accuracy(self) -> float:
        """Return the accuracy of a preflight."""
        return self.model.accuracy - _KINDS[self.variant].accuracy_loss

    @property
    def slot(self) -> str:
        """Return the name of the cell from night to night."""
        return f"{self.model.name} · {self.variant} · {self.runtime.name} · threads={self.threads}"

    @property
    def rule(self) -> Mapping[str, Any]:
        """Return a sweep's rule for the cell alone."""
        return {"variant": self.variant, "runtime": self.runtime.label, "threads": self.threads}

    def latency_ns(self, kind: DeviceClass) -> float:
        """Return the usual latency on a class of devices in nanoseconds."""
        variant = _KINDS[self.variant]
        by_processor = variant.on_arm if kind.is_arm else variant.on_x86
        factor = by_processor * _RUNTIME_FACTORS[self.runtime.label] * _THREAD_FACTORS[self.threads]
        return self.model.latency_ns * kind.slowness * factor


class Lab:
    """Hold the devices, and `series` cells for each device and night."""

    def __init__(self, devices: int, series: int) -> None:
        self.devices = [
            DemoDevice(f"{PREFIX}{kind.name}-{place // len(CLASSES) + 1:02}", kind)
            for place in range(devices)
            for kind in (CLASSES[place % len(CLASSES)],)
        ]
        self._series = series

    @cached_property
    def models(self) -> Mapping[DemoModel, Sequence[DemoCell]]:
        """Return the cells of each model. Few cells are of few models, so there are variants to compare."""
        count = min(len(_MODELS), max(1, self._series // _CELLS_BY_MODEL_MIN))
        shares = [self._series // count + (place < self._series % count) for place in range(count)]
        # Few cells are of few models, and the other models stay without.
        return {model: _grid(model)[:share] for model, share in zip(_MODELS, shares, strict=False)}

    def sweep(self, model: DemoModel, seed: int, only: Sequence[Mapping[str, Any]] = ()) -> Sweep:
        """Return the sweep of a model: all cells of the model, or the cells of the rules `only`."""
        cells = self.models[model]
        return Sweep(
            name=f"{PREFIX}{model.name}",
            model=model.name,
            variants=tuple(dict.fromkeys(cell.variant for cell in cells)),
            runtimes=tuple(dict.fromkeys(cell.runtime for cell in cells)),
            matrix={"threads": tuple(dict.fromkeys(cell.threads for cell in cells))},
            trials=TRIALS,
            order=Order(seed=seed),
            only=tuple(only or (cell.rule for cell in cells)),
        )


SERIES_MAX = len(_MODELS) * len(_VARIANTS) * len(_RUNTIMES) * len(_THREAD_FACTORS)


def _grid(model: DemoModel) -> list[DemoCell]:
    return [
        DemoCell(model, kind.name, runtime, threads)
        for threads in _THREAD_FACTORS
        for runtime in _RUNTIMES
        for kind in _VARIANTS
    ]


def declared_model(model: DemoModel, builds: Mapping[str, int]) -> Model:
    """Return a model as a model.yaml would declare it. `builds` counts how often each variant was rebuilt."""
    variants = {
        kind.name: Variant(
            kind.name,
            (Artifact(Format.TFLITE, artifact_path(model, kind.name), artifact_sha256(model, kind.name, builds)),),
            kind.name,
            kind.made,
            None if kind.name == "fp32" else "fp32",
            {"top1": model.accuracy - kind.accuracy_loss},
        )
        for kind in _VARIANTS
    }
    return Model(
        model.name,
        f"/{PREFIX}models/{model.name}",
        f"The {model.name} model of a made-up lab.",
        "classification",
        ModelInput((1, 32, 32, 3), "f4", 0, 1),
        variants,
    )


def artifact_path(model: DemoModel, variant: str) -> str:
    """Return the path of a variant's artifact. There is no such file."""
    return f"/{PREFIX}models/{model.name}/{model.name}-{variant}.tflite"


def artifact_sha256(model: DemoModel, variant: str, builds: Mapping[str, int]) -> str:
    """Return the hash of a variant's artifact. Each build has another hash."""
    return made_up_sha256(f"{model.name} {variant} {builds.get(variant, 0)}")


def artifact_bytes(model: DemoModel, variant: str) -> int:
    """Return the size of a variant's artifact."""
    return int(model.size_bytes * _KINDS[variant].size)


def made_up_sha256(text: str) -> str:
    """Return the hash of a text about a made-up thing."""
    return hashlib.sha256(f"{PREFIX}{text}".encode()).hexdigest()
