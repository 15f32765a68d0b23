"""Drive a TensorFlow Lite interpreter: tflite-runtime, LiteRT, or the one inside TensorFlow."""

from __future__ import annotations

import importlib

from device_worker.python_runtimes import TFLITE_MODULES
from device_worker.runtimes.base import InputSlot, LoadFailure, Runtime, Session
from device_worker.runtimes.distribution import find_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DISTRIBUTIONS = {"tflite_runtime": "tflite-runtime", "ai_edge_litert": "ai-edge-litert", "tensorflow": "tensorflow"}
_SETTINGS = frozenset(("threads", "cpus", "delegate"))
_DELEGATE_OP = "DELEGATE"


class TfliteRuntime(Runtime):
    """The interpreter's module, imported; settings are `threads`, `cpus` and `delegate` (a shared library)."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._settings = job["settings"]
        unknown = sorted(set(self._settings) - _SETTINGS)
        if unknown:
            raise LoadFailure(f"the tflite engine has no setting {unknown[0]!r}; it has {', '.join(sorted(_SETTINGS))}")
        if job["model_path"] is None:
            raise LoadFailure("the job has no model")
        self._model_path = job["model_path"]
        self._module_name, self._module = _import_module(job.get("module") or "auto")

    def load(self) -> Session:
        """Create the interpreter and allocate its tensors."""
        threads = self._settings.get("threads", 1)
        delegate = self._settings.get("delegate")
        delegates = None if delegate is None else [_load_delegate(self._module, delegate)]
        interpreter = self._module.Interpreter(
            model_path=self._model_path, num_threads=threads, experimental_delegates=delegates
        )
        interpreter.allocate_tensors()
        identity = {"module": self._module_name, "threads": threads, "delegates": [delegate] if delegate else None}
        return TfliteSession(interpreter, identity)


class TfliteSession(Session):
    """One interpreter with its tensors."""

    def __init__(self, interpreter: Any, identity: dict[str, Any]) -> None:
        self._interpreter = interpreter
        self._identity = identity
        self._inputs = interpreter.get_input_details()
        self._outputs = interpreter.get_output_details()
        self.invoke = interpreter.invoke
        self.inputs = [
            InputSlot(detail["name"], tuple(int(size) for size in detail["shape"]), _dtype_name(detail))
            for detail in self._inputs
        ]

    def encode_inputs(self, values: list[Any]) -> list[Any]:
        """Return inputs in the model's dtypes."""
        return [_quantise(value, detail) for value, detail in zip(values, self._inputs)]

    def set_inputs(self, encoded: list[Any]) -> None:
        """Copy inputs into their tensors."""
        for value, detail in zip(encoded, self._inputs):
            self._interpreter.set_tensor(detail["index"], value)

    def get_outputs(self) -> list[Any]:
        """Return copies of the output tensors."""
        return [self._interpreter.get_tensor(detail["index"]) for detail in self._outputs]

    def decode_outputs(self, outputs: list[Any]) -> list[Any]:
        """Return outputs as float32."""
        return [_dequantise(value, detail) for value, detail in zip(outputs, self._outputs)]

    def identity(self) -> dict[str, Any]:
        """Return what executes; which kernels did, no interface of TFLite tells."""
        import numpy

        root = self._identity["module"].partition(".")[0]
        distribution = _DISTRIBUTIONS.get(root, root)
        nodes, delegated = _count_nodes(self._interpreter)
        found = {
            "name": distribution,
            "version": find_version(importlib.import_module(root), distribution),
            "numpy": numpy.__version__,
            "input_dtypes": [slot.dtype for slot in self.inputs],
            "output_dtypes": [_dtype_name(detail) for detail in self._outputs],
            "nodes": nodes,
            "delegated_nodes": delegated,
            "kernels": None,
        }
        found.update(self._identity)
        if found["delegates"] is None and delegated is not None:
            found["delegates"] = ["XNNPACK"] if delegated else []  # the one that CPU builds apply unasked
        return found


def _import_module(name: str) -> tuple[str, Any]:
    """Import the interpreter's module; `auto` is the first that this device has."""
    candidates = TFLITE_MODULES if name == "auto" else (name,)
    errors = []
    for candidate in candidates:
        try:
            return candidate, _import_dotted(candidate)
        except ImportError as error:
            errors.append(f"{candidate}: {error}")
    raise LoadFailure("; ".join(errors))


def _import_dotted(name: str) -> Any:
    root, _, rest = name.partition(".")
    if root == "tensorflow":  # its parts are attributes made on first use, not all of them modules
        found = importlib.import_module(root)
        for part in rest.split(".") if rest else ():
            found = getattr(found, part)
        return found
    return importlib.import_module(name)


def _load_delegate(module: Any, library: str) -> Any:
    load = getattr(module, "load_delegate", None) or getattr(
        getattr(module, "experimental", None), "load_delegate", None
    )
    if load is None:
        raise LoadFailure(f"{module.__name__} cannot load delegates")
    try:
        return load(library)
    except (OSError, ValueError) as error:
        raise LoadFailure(f"the delegate {library}: {error}") from error


def _dtype_name(detail: dict[str, Any]) -> str:
    import numpy

    return str(numpy.dtype(detail["dtype"]).name)


def _quantise(value: Any, detail: dict[str, Any]) -> Any:
    import numpy

    dtype = numpy.dtype(detail["dtype"])
    if dtype.kind not in "fiub":
        raise LoadFailure(f"input {detail['name']!r} is of dtype {dtype.name}")
    scale, zero_point = detail["quantization"]
    if dtype.kind in "iu" and scale:
        limits = numpy.iinfo(dtype)
        value = numpy.clip(numpy.round(numpy.asarray(value) / scale) + zero_point, limits.min, limits.max)
    return numpy.ascontiguousarray(value, dtype=dtype)


def _dequantise(value: Any, detail: dict[str, Any]) -> Any:
    import numpy

    scale, zero_point = detail["quantization"]
    plain = value.astype(numpy.float32)
    return (plain - numpy.float32(zero_point)) * numpy.float32(scale) if value.dtype.kind in "iu" and scale else plain


def _count_nodes(interpreter: Any) -> tuple[int | None, int | None]:
    """Return how many nodes the model has, and how many of them a delegate executes.

    A delegate's node stands for the original nodes between its inputs and its outputs, which are still listed.
    """
    try:
        listed = interpreter._get_ops_details()
    except (AttributeError, RuntimeError, ValueError):
        return None, None
    nodes = [node for node in listed if node["op_name"] != _DELEGATE_OP]
    producers = {int(tensor): node for node in nodes for tensor in node["outputs"]}
    delegated: set[int] = set()
    for delegate in (node for node in listed if node["op_name"] == _DELEGATE_OP):
        given = {int(tensor) for tensor in delegate["inputs"]}
        waiting = [int(tensor) for tensor in delegate["outputs"]]
        while waiting:
            tensor = waiting.pop()
            node = producers.get(tensor)
            if tensor in given or node is None or node["index"] in delegated:
                continue
            delegated.add(node["index"])
            waiting += [int(source) for source in node["inputs"]]
    return len(nodes), len(delegated)
