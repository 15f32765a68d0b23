"""List the runtimes known to the controller, in a single table.

A new runtime is an entry of `RUNTIMES`. A new engine is an entry of `ENGINES` as well, and on the device a file and
a line of `device_worker/trial/runtimes/__init__.py`. A test compares the two tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.domain.model import Artifact, Format, Variant
from orchestrator.domain.runtime import RuntimeSource, RuntimeSpec

AUTO = "auto"
"""The module of a system runtime: the first of the engine's modules that the device can import."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Describe an executor of jobs on devices.

    `formats` are the loadable formats, the preferred first. `settings` are the matrix keys of the engine. None is any,
    as a user's program decides.
    """

    name: str
    formats: tuple[Format, ...] | None
    settings: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class VersionBound:
    """Hold a version bound missing from a package's metadata, for releases below `before` or, with None, for all."""

    text: str
    before: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Runtime:
    """Describe a runtime shipped as a bundle.

    `name` is the name in sweeps and the required distribution. `packages` may name another distribution for a kind of
    machine. `module` is imported on the device. `example` is a version for hints. `left_out` are folders not shipped.
    `build_of` is the runtime that this one is another build of, with the same module. `extras` are those of the package
    that a device needs beside a driver. `needs_gpu`: no use, and gigabytes, on a device without a GPU of NVIDIA's.
    `beside` are packages that the engine needs and the package does not require. `brings_cuda` is, by machine, the
    first release whose plain package brings NVIDIA's libraries along, gigabytes of them.
    `called` is the engine for the values of the setting `call` that are not `tf.lite`, with the module `called_module`.
    """

    name: str
    engine: Engine
    module: str
    example: str
    packages: Mapping[str, str] = field(default_factory=dict)
    bounds: tuple[VersionBound, ...] = ()
    left_out: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    brings_cuda: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    called: Engine | None = None
    called_module: str = ""
    build_of: str = ""
    extras: tuple[str, ...] = ()
    needs_gpu: bool = False


_TFLITE = Engine(
    "tflite",
    (Format.TFLITE,),
    ("threads", "cpus", "delegate", "delegate_options", "batch", "call", "kernels", "signature"),
)
_ONNXRUNTIME = Engine(
    "onnxruntime", (Format.ONNX,), ("threads", "cpus", "provider", "provider_options", "precision", "batch")
)
_OPENVINO = Engine("openvino", (Format.OPENVINO, Format.ONNX, Format.TFLITE), ("threads", "cpus", "precision", "batch"))
_NCNN = Engine("ncnn", (Format.NCNN,), ("threads", "cpus"))
_TENSORFLOW = Engine("tensorflow", (Format.KERAS, Format.SAVED_MODEL), ("threads", "cpus", "batch", "call"))
_TORCH = Engine("torch", (Format.TORCH, Format.TORCH_EXPORT), ("threads", "cpus", "provider", "batch", "call"))
_EXEC = Engine("exec", None, None)
_PROTOCOLS = ("kserve-v2", "kserve-v2-grpc", "tf-serving", "tf-serving-grpc", "http")

ENGINES: Mapping[str, Engine] = {
    engine.name: engine for engine in (_TFLITE, _ONNXRUNTIME, _OPENVINO, _NCNN, _TENSORFLOW, _TORCH)
}
"""The worker's own engines. `system/NAME` names an engine with the installation of the device."""

PROTOCOLS: Mapping[str, Engine] = {
    name: Engine(name, None, ("threads", "cpus", "batch", "connections")) for name in _PROTOCOLS
}
"""The engines that ask a server, by protocol. `endpoint/NAME` names one, and the server loads what it likes."""

# The tools that convert, quantise and analyse models, and the algebra that they alone use, are most of the files; no
# inference imports them.
_ONNXRUNTIME_TOOLS = tuple(
    f"{folder}/"
    for folder in ("onnxruntime/transformers", "onnxruntime/quantization", "onnxruntime/tools", "sympy", "mpmath")
)

_ALL = (
    # Every release was built against numpy 1: with numpy 2 it imports, and then every Interpreter() is a SystemError.
    Runtime("tflite-runtime", _TFLITE, "tflite_runtime.interpreter", "2.14.0", bounds=(VersionBound("numpy<2"),)),
    # So was the first release of its successor.
    Runtime(
        "ai-edge-litert",
        _TFLITE,
        "ai_edge_litert.interpreter",
        "2.3.0",
        bounds=(VersionBound("numpy<2", before=(1, 1)),),
    ),
    # On x86-64 the plain package brings CUDA code along (docs/decisions/0007). Old releases name no upper bounds:
    # numpy 2 breaks their binary interface, numpy 1.24 removed names that they use, protobuf 4 refuses their generated
    # code. The C++ headers are two thirds of all files; only building custom operators needs them.
    Runtime(
        "tensorflow",
        _TFLITE,
        "tensorflow.lite",
        "2.21.0",
        packages={"x86_64": "tensorflow-cpu"},
        bounds=(
            VersionBound("numpy<2", before=(2, 18)),
            VersionBound("numpy<1.24", before=(2, 13)),
            VersionBound("protobuf<3.21", before=(2, 12)),
        ),
        left_out=("tensorflow/include/",),
        called=_TENSORFLOW,
        called_module="tensorflow",
    ),
    # Releases before 1.19 were built against numpy 1 and name no upper bound.
    Runtime(
        "onnxruntime",
        _ONNXRUNTIME,
        "onnxruntime",
        "1.20.1",
        bounds=(VersionBound("numpy<2", before=(1, 19)),),
        left_out=_ONNXRUNTIME_TOOLS,
    ),
    # With its extras it brings CUDA and cuDNN along, more than a gigabyte: the device needs a driver alone.
    Runtime(
        "onnxruntime-gpu",
        _ONNXRUNTIME,
        "onnxruntime",
        "1.24.4",
        bounds=(VersionBound("numpy<2", before=(1, 19)),),
        left_out=_ONNXRUNTIME_TOOLS,
        build_of="onnxruntime",
        extras=("cuda", "cudnn"),
        needs_gpu=True,
    ),
    Runtime(
        "onnxruntime-openvino",
        _ONNXRUNTIME,
        "onnxruntime",
        "1.24.1",
        bounds=(VersionBound("numpy<2", before=(1, 19)),),
        left_out=_ONNXRUNTIME_TOOLS,
        build_of="onnxruntime",
    ),
    # The command-line tools, and the readers of models that no sweep has, are not imported by an inference.
    Runtime("openvino", _OPENVINO, "openvino", "2026.4.1"),
    Runtime("ncnn", _NCNN, "ncnn", "1.0.20261020"),
    # No dependency of its own, and how inputs come in. Releases before 2.3 were built against numpy 1.
    Runtime(
        "torch",
        _TORCH,
        "torch",
        "2.13.0",
        bounds=(VersionBound("numpy<2", before=(2, 3)),),
        beside=("numpy",),
        brings_cuda={"x86_64": (0,), "aarch64": (2, 11)},
    ),
)

RUNTIMES: Mapping[str, Runtime] = {runtime.name: runtime for runtime in _ALL}
"""Every runtime that can be shipped, by the name in sweeps."""


CALL = "call"
"""The setting that says how a model of TensorFlow or PyTorch is called."""

CALLS: Mapping[str, tuple[Format, ...]] = {
    "predict": (Format.KERAS,),
    "predict_on_batch": (Format.KERAS,),
    "model": (Format.KERAS,),
    "function": (Format.KERAS, Format.SAVED_MODEL),
    "xla": (Format.KERAS, Format.SAVED_MODEL),
    "signature": (Format.SAVED_MODEL,),
    "tf.lite": (Format.TFLITE,),
    "jit": (Format.TORCH,),
    "eager": (Format.TORCH_EXPORT,),
    "compile": (Format.TORCH_EXPORT,),
}
"""The ways of calling, with the formats of each, the preferred first."""

UNCALLED = (Format.TFLITE, Format.TORCH)
"""The formats that have one way of calling, which need not be named."""

_NO_SETTINGS: Mapping[str, object] = {}


def engine_of(runtime: RuntimeSpec, settings: Mapping[str, object] = _NO_SETTINGS) -> Engine:
    """Return the engine of a runtime's jobs with such settings."""
    match runtime.source:
        case RuntimeSource.BUNDLE:
            known = RUNTIMES[runtime.name]
            return known.called if known.called is not None and _is_called(settings) else known.engine
        case RuntimeSource.SYSTEM:
            return ENGINES[runtime.name]
        case RuntimeSource.EXEC:
            return _EXEC
        case RuntimeSource.ENDPOINT:
            assert runtime.endpoint is not None
            return PROTOCOLS[runtime.endpoint.protocol]


def module_of(runtime: RuntimeSpec, settings: Mapping[str, object] = _NO_SETTINGS) -> str | None:
    """Return the module imported by a runtime's jobs on the device; None for a program or a server."""
    match runtime.source:
        case RuntimeSource.BUNDLE:
            known = RUNTIMES[runtime.name]
            return known.called_module if known.called is not None and _is_called(settings) else known.module
        case RuntimeSource.SYSTEM:
            return AUTO
        case RuntimeSource.EXEC | RuntimeSource.ENDPOINT:
            return None


def formats_of(runtime: RuntimeSpec, settings: Mapping[str, object] = _NO_SETTINGS) -> Sequence[Format] | None:
    """Return the formats loaded by a runtime with such settings, the preferred first; None for any."""
    if runtime.program is not None and runtime.program.format is not None:
        return (runtime.program.format,)
    loaded = engine_of(runtime, settings).formats
    called = CALLS.get(str(settings[CALL])) if CALL in settings else None
    # A program may have a setting of that name.
    if loaded is None or called is None:
        return loaded
    return [one for one in called if one in loaded]


def artifact_for(
    variant: Variant, runtime: RuntimeSpec, settings: Mapping[str, object] = _NO_SETTINGS
) -> Artifact | None:
    """Return the artifact of a variant for a runtime; None for a variant without a loadable format."""
    return variant.artifact_in(formats_of(runtime, settings))


def _is_called(settings: Mapping[str, object]) -> bool:
    return CALL in settings and Format.TFLITE not in CALLS.get(str(settings[CALL]), ())
