"""List ONNX Runtime's execution providers: what has them, what they need of a device, and what they compute in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.domain.runtime import RuntimeSource, RuntimeSpec
from orchestrator.domain.sweep import Setting

PROVIDER = "provider"
"""The setting that names an execution provider."""

PRECISION = "precision"
"""The setting that names the type of numbers which floating-point operators compute in."""

NO_PRECISION = "none"
"""The value of that setting which is the same as no setting, so that rules of a sweep can name it."""

_PRECISIONS: Mapping[str, tuple[str, ...]] = {"openvino": ("f32", "bf16", "f16")}
"""The values of that setting of engines without providers."""

_DEFAULT = "CPUExecutionProvider"


@dataclass(frozen=True, slots=True)
class Provider:
    """Describe an execution provider: the only package with it, and its values of the setting `precision`.

    `library` begins the name of a shared library that no package brings, with `remedy` for a device without it.
    """

    package: str
    precisions: tuple[str, ...] = ()
    needs_gpu: bool = False
    library: str | None = None
    remedy: str = ""


PROVIDERS: Mapping[str, Provider] = {
    "CUDAExecutionProvider": Provider("onnxruntime-gpu", needs_gpu=True),
    "TensorrtExecutionProvider": Provider(
        "onnxruntime-gpu",
        ("f32", "f16", "bf16", "int8"),
        needs_gpu=True,
        library="libnvinfer.so",
        remedy="install TensorRT 10 there (libnvinfer10 of NVIDIA's repository)",
    ),
    "OpenVINOExecutionProvider": Provider("onnxruntime-openvino", ("f32", "bf16", "f16")),
}
"""The providers that are known, by name. Of any other one the device alone knows."""


def provider_of(engine: str, settings: Mapping[str, Setting]) -> str | None:
    """Return the provider that a cell runs on, or None for a cell of another engine than ONNX Runtime's."""
    return str(settings.get(PROVIDER, _DEFAULT)) if engine == "onnxruntime" else None


def provider_against(runtime: RuntimeSpec, engine: str, settings: Mapping[str, Setting]) -> str | None:
    """Return the reason why no device can run a cell with such settings, or None if there is no known reason."""
    name = provider_of(engine, settings)
    if name is None:
        return _precision_against(engine, settings)
    known = PROVIDERS.get(name)
    if known is not None and runtime.source is RuntimeSource.BUNDLE and runtime.name != known.package:
        return f"{runtime.label} has no {name}: write {known.package}==VERSION among the runtimes"
    precision = settings.get(PRECISION)
    if precision in (None, NO_PRECISION) or (known is None and name != _DEFAULT):
        return None
    has = known.precisions if known is not None else ()
    if precision in has:
        return None
    words = f"it has {', '.join(has)}" if has else "it computes as the file says"
    return f"{name} has no {PRECISION}: {precision}; {words}"


def _precision_against(engine: str, settings: Mapping[str, Setting]) -> str | None:
    precision = settings.get(PRECISION)
    has = _PRECISIONS.get(engine)
    if has is None or precision is None or precision in has:
        return None
    return f"{engine} has no {PRECISION}: {precision}; it has {', '.join(has)}"
