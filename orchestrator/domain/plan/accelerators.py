"""Say why a device cannot run a cell on an accelerator, before anything is sent there."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.domain.facts import Facts
from orchestrator.domain.model import Artifact, Format
from orchestrator.domain.providers import PROVIDER, PROVIDERS, provider_of
from orchestrator.domain.runtime import RuntimeSource, RuntimeSpec
from orchestrator.domain.runtimes import RUNTIMES
from orchestrator.domain.sweep import Delegation, Setting

DELEGATE = "delegate"
"""The setting that names a delegate of TensorFlow Lite: a shared library of the device."""

_EDGETPU = "libedgetpu.so"
_WITHOUT_GPU = "and the device has none (no /dev/nvidia0, no driver): choose a device with one (--select)"


def accelerator_against(runtime: RuntimeSpec, engine: str, settings: Mapping[str, Setting], facts: Facts) -> str | None:
    """Return what the device lacks of a cell's accelerator, with the remedy; None for nothing, or unknown facts."""
    if runtime.source is RuntimeSource.BUNDLE and RUNTIMES[runtime.name].needs_gpu and lacks_gpu(facts):
        other = RUNTIMES[runtime.name].build_of
        remedy = f", or write {other}=={runtime.version}" if other else ""
        return f"{runtime.label} needs an NVIDIA GPU, {_WITHOUT_GPU}{remedy}"
    if engine == "torch" and settings.get(PROVIDER) == "cuda" and lacks_gpu(facts):
        return f"provider: cuda needs an NVIDIA GPU, {_WITHOUT_GPU}"
    name = provider_of(engine, settings)
    provider = None if name is None else PROVIDERS.get(name)
    if provider is not None and provider.needs_gpu and lacks_gpu(facts):
        return f"{name} needs an NVIDIA GPU, {_WITHOUT_GPU}"
    if provider is not None and provider.library is not None and _lacks_library(facts, provider.library):
        return f"{name} needs {provider.library}, which the device does not have: {provider.remedy}"
    return _edgetpu_against(engine, settings, facts)


def compilation_against(
    artifact: Artifact, settings: Mapping[str, Setting], for_edgetpu: frozenset[str], delegation: Delegation
) -> str | None:
    """Return why a cell's file does not fit the cell's delegate: what is compiled for the EdgeTPU runs there alone."""
    if artifact.format is not Format.TFLITE:
        return None
    if artifact.path in for_edgetpu:
        remedy = "write matrix: {delegate: [libedgetpu.so.1]}, and leave other cells of the variant out"
        is_delegated = str(settings.get(DELEGATE, "none")).lower() not in ("none", "xnnpack")
        return None if is_delegated else f"{artifact.file_name} is compiled for the EdgeTPU: {remedy}"
    if is_edgetpu(settings) and not delegation.allow_fallback and delegation.nodes_min > 0:
        remedy = "compile it (edgetpu_compiler), and add the file as a variant"
        return f"{artifact.file_name} is not compiled for the EdgeTPU, which would run none of its nodes: {remedy}"
    return None


def lacks_gpu(facts: Facts) -> bool:
    """Say whether the device says that it has no NVIDIA GPU. A device that did not look may have one."""
    return _accelerators(facts, "nvidia") == []


def is_edgetpu(settings: Mapping[str, Setting]) -> bool:
    """Say whether a cell asks for the delegate of the EdgeTPU, by the name of its library."""
    named = str(settings.get(DELEGATE, ""))
    return named.rpartition("/")[2].startswith(_EDGETPU)


def _edgetpu_against(engine: str, settings: Mapping[str, Setting], facts: Facts) -> str | None:
    if engine != "tflite" or not is_edgetpu(settings):
        return None
    named = str(settings[DELEGATE])
    if "/" not in named and _lacks_library(facts, _EDGETPU):
        return f"the device has no {named}: install Coral's runtime there (libedgetpu1-std), or leave the cell out"
    # A library by its path may be one that stands for the hardware.
    if "/" not in named and _accelerators(facts, "edgetpu") == []:
        return f"{named} needs an EdgeTPU, and the device has none (no /dev/apex_0, none on USB): plug one in"
    return None


def _lacks_library(facts: Facts, stem: str) -> bool:
    libraries = facts.values.get("libraries")
    return isinstance(libraries, list | tuple) and not any(str(name).startswith(stem) for name in libraries)


def _accelerators(facts: Facts, kind: str) -> object:
    found = facts.values.get("accelerators")
    return found.get(kind) if isinstance(found, Mapping) else None
