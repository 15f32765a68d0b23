"""Know ONNX Runtime's execution providers: their options, the numbers that they compute in, and who runs which node."""

from __future__ import annotations

import json
import os

from device_worker.protocol.settings import parse_options
from device_worker.trial.delegation import NodePlaces
from device_worker.trial.runtimes.base import LoadFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"

PRECISIONS = {TENSORRT: ("f32", "f16", "bf16", "int8"), OPENVINO: ("f32", "bf16", "f16")}
"""The values of the setting `precision`, by provider. Other providers compute as the file says."""

RECORD = "session.record_ep_graph_assignment_info"
"""The option of a session that keeps which provider has which node. Releases before 1.24 ignore it."""

BUILDS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino")
"""The packages of the module `onnxruntime`, each with other providers."""

_ON_GPUS = (CUDA, TENSORRT)
_TENSORRT_FLAGS = {"f32": None, "f16": "trt_fp16_enable", "bf16": "trt_bf16_enable", "int8": "trt_int8_enable"}
_UNCOUNTED = "ONNX Runtime before 1.24 does not say which provider has which node"
_NOTHING_TO_DELEGATE = "a session of the CPU's provider alone has nothing to delegate"


def provider_options(provider: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the options of a provider: those that follow from the settings, and then those that a sweep writes.

    Raise LoadFailure for a precision that the provider does not have, and for options that cannot be read.
    """
    threads = str(settings.get("threads", 1))
    named = settings.get("precision")
    precision = None if named == "none" else named
    if precision is not None and precision not in PRECISIONS.get(provider, ()):
        known = ", ".join(PRECISIONS.get(provider, ())) or "no such setting, and computes as the file says"
        raise LoadFailure(f"{provider} has no precision {precision!r}; it has {known}")
    found: dict[str, str] = {}
    if provider == TENSORRT:
        flag = _TENSORRT_FLAGS[str(precision or "f32")]
        found.update({flag: "1"} if flag else {})
    elif provider == OPENVINO:
        # Left alone, OpenVINO may compute in bfloat16 where the processor has AMX, and says nothing.
        pinned = {"CPU": {"INFERENCE_PRECISION_HINT": str(precision or "f32")}}
        found.update(device_type="CPU", num_of_threads=threads, load_config=json.dumps(pinned))
    try:
        found.update(parse_options(settings.get("provider_options")))
    except ValueError as error:
        raise LoadFailure(f"the setting provider_options: {error}") from None
    return found


def preload(module: Any, provider: str) -> None:
    """Load the CUDA libraries that a bundle brings, where the provider wants some and the package can."""
    load = getattr(module, "preload_dlls", None)
    if provider in _ON_GPUS and load is not None:
        load()


def package_of(module: Any) -> str | None:
    """Return which package has brought the module, by the metadata beside the module; None for several, or none."""
    found = set()
    for folder in map(os.path.dirname, getattr(module, "__path__", ())):
        for name in map(str, os.listdir(folder)):
            build = name.partition("-")[0].replace("_", "-").lower()
            if name.endswith(".dist-info") and build in BUILDS:
                found.add(build)
    return found.pop() if len(found) == 1 else None


def find_places(session: Any, provider: str, share: float | None) -> NodePlaces:
    """Return which provider has how many of the model's nodes.

    `share` is that of `provider` where a session with too few would not have begun, and None where unknown.
    """
    if provider == CPU:
        return NodePlaces(None, None, 0.0, _NOTHING_TO_DELEGATE)
    tell = getattr(session, "get_provider_graph_assignment_info", None)
    counts: dict[str, int] = {provider: 0}
    for part in tell() if tell is not None else ():
        counts[part.ep_name] = counts.get(part.ep_name, 0) + len(part.get_nodes())
    if not any(counts.values()):
        return NodePlaces(provider, None, share, _UNCOUNTED)
    return NodePlaces(provider, counts)
