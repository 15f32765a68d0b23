"""Drive an ONNX Runtime session."""

from __future__ import annotations

import os
from functools import partial

from device_worker.trial.causes import describe
from device_worker.trial.declared import batched_shape
from device_worker.trial.delegation import Fallback
from device_worker.trial.encoding import encode_plain
from device_worker.trial.onnx_file import find_unranked
from device_worker.trial.profile import (
    Operator,
    Profile,
    ProfileUnavailable,
    microseconds,
    own_times_ns,
    read_chrome_trace,
)
from device_worker.trial.runtimes.base import TEXT, InputSlot, LoadedModel, LoadFailure, ProfiledModel, Runtime
from device_worker.trial.runtimes.onnx_providers import (
    CPU,
    RECORD,
    find_places,
    package_of,
    preload,
    provider_options,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.protocol.specification import TrialJob
    from device_worker.trial.delegation import NodePlaces

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int16)": "int16",
    "tensor(uint16)": "uint16",
    "tensor(int32)": "int32",
    "tensor(uint32)": "uint32",
    "tensor(int64)": "int64",
    "tensor(uint64)": "uint64",
    "tensor(bool)": "bool",
}
_UNREAD = frozenset(
    "tensor(%s)" % name
    for name in (
        "bfloat16",
        "float8e4m3fn",
        "float8e4m3fnuz",
        "float8e5m2",
        "float8e5m2fnuz",
        "float8e8m0",
        "float4e2m1",
        "int2",
        "uint2",
        "int4",
        "uint4",
    )
)
"""Outputs that ONNX Runtime computes, and numpy does not have. Of some a copy is an error, of float8 the bare bits."""
_TEXT = "tensor(string)"
_NO_FALLBACK = "session.disable_cpu_ep_fallback"
_NO_FALLBACK_SINCE = (1, 16)  # older releases ignore the option without a word
_ERRORS_ONLY = 3
_SESSION, _RUN, _NODE, _KERNEL = "Session", "model_run", "Node", "_kernel_time"


class OnnxRuntime(Runtime):
    """The imported module onnxruntime, of any package that has it.

    The setting `provider` is an execution provider of the package, such as `CUDAExecutionProvider`. The default is the
    provider of the CPU. `precision` is the type of numbers that a provider computes in, where a provider has a choice.
    `provider_options` are options of the provider itself, KEY=VALUE, with commas between them.
    """

    engine = "onnxruntime"
    profile_absence = None
    settings = frozenset(("threads", "cpus", "provider", "provider_options", "precision", "batch"))

    def __init__(self, job: TrialJob) -> None:
        """Import the package, and the libraries of the provider that a bundle brings."""
        super().__init__(job)
        self._provider = str(self._settings.get("provider", CPU))
        preload(self._module, self._provider)

    def _distribution(self) -> tuple[str, str | None]:
        name, version = super()._distribution()
        return package_of(self._module) or name, version

    def load(self) -> LoadedModel:
        """Create the session on the job's provider. Raise LoadFailure if the provider is missing or cannot start."""
        return self._load(self._module.SessionOptions())

    def load_profiled(self, folder: str) -> ProfiledModel:
        """Create the session with ONNX Runtime's own profiler, which writes its trace into a folder."""
        options = self._module.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = os.path.join(folder, "profile")
        return ProfiledOnnxModel(self._load(options))

    def _load(self, options: Any) -> OnnxModel:
        threads = self._settings.get("threads", 1)
        provider = self._provider
        available = self._module.get_available_providers()
        if provider not in available:
            raise LoadFailure(f"this onnxruntime has no provider {provider!r}; it has {', '.join(available)}")
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1  # operators run one after the other, so that `threads` counts them all
        options.log_severity_level = _ERRORS_ONLY
        chosen = provider_options(provider, self._settings)
        session, share = self._open(options, provider, chosen)
        # If a provider cannot start, ONNX Runtime falls back to the CPU without an error.
        if provider not in session.get_providers():
            raise LoadFailure(f"{provider} did not start; the session would run on {session.get_providers()}")
        name, version = self._distribution()
        identity = {
            "name": name,
            "version": version,
            "module": self._module_name,
            "threads": threads,
            "precision": self._settings.get("precision"),
            "provider_options": chosen,
        }
        self._refuse_constants(session)
        unranked = self._find_unranked(session)
        inputs = [
            InputSlot(
                given.name,
                batched_shape(
                    given.name,
                    None if given.name in unranked else _sizes(given.shape),
                    self._declared,
                    self._batch,
                    can_resize=False,
                ),
                _dtype_name(given.name, given.type),
                batch=self._batch or 1,
            )
            for given in session.get_inputs()
        ]
        return OnnxModel(session, inputs, identity, find_places(session, provider, share))

    def _find_unranked(self, session: Any) -> frozenset[str]:
        """Return the names of inputs of any number of dimensions."""
        # The file is read only where an input leaves room for doubt, since the time counts as the model's loading.
        doubtful = {one.name for one in session.get_inputs() if not one.shape}
        return find_unranked(self._model_path) & doubtful if doubtful else frozenset()

    def _refuse_constants(self, session: Any) -> None:
        """Raise LoadFailure for a declared input that the file has a value for: nothing would be drawn for it."""
        for given in session.get_overridable_initializers():
            if given.name in self._declared.by_name:
                raise LoadFailure(
                    f"model.yaml declares an input {given.name!r}, for which the file has a value that is used; "
                    "take it out of inputs there"
                )

    def _open(self, options: Any, provider: str, chosen: dict[str, str]) -> tuple[Any, float | None]:
        """Return a session, and the share of nodes that the provider runs for certain. Raise Fallback for fewer."""
        wanted = self._delegation
        is_whole = (
            provider != CPU
            and not wanted.allow_fallback
            and wanted.nodes_min == 1
            and _release(self._distribution()[1]) >= _NO_FALLBACK_SINCE
        )
        if is_whole:
            options.add_session_config_entry(_NO_FALLBACK, "1")
        if provider != CPU:
            options.add_session_config_entry(RECORD, "1")
        try:
            # Otherwise the package itself would open a second session, on the CPU.
            providers = [(provider, chosen)]
            session = self._module.InferenceSession(self._model_path, options, providers=providers, enable_fallback=0)
        except Exception as error:
            if is_whole and "fallback" in str(error).lower():
                raise Fallback(
                    f"{provider} does not run all nodes: {describe(error)}; write delegates: {{allow_fallback: true}} "
                    "in the sweep to measure it nevertheless"
                ) from error
            raise
        return session, 1.0 if is_whole else None


class ProfiledOnnxModel(ProfiledModel):
    """A session with ONNX Runtime's profiler. The profiler keeps all events in memory until the end."""

    def __init__(self, model: OnnxModel) -> None:
        self.model: OnnxModel = model

    def read_profile(self, warmup: int) -> Profile:
        """Return the kernels of all inferences but the first ones, by node. Raise ProfileUnavailable."""
        path = self.model.session.end_profiling()
        try:
            return read_kernels(read_chrome_trace(path), warmup)
        finally:
            os.remove(path)


def read_kernels(events: list[dict[str, Any]], warmup: int) -> Profile:
    """Return the kernel times of a trace. Raise ProfileUnavailable for a trace without any, or without inferences."""
    runs = [event for event in events if event.get("cat") == _SESSION and event.get("name") == _RUN]
    begins = sorted(at for at in (microseconds(event, "ts") for event in runs) if at is not None)[warmup:]
    if not begins:
        raise ProfileUnavailable("the runtime's trace has no inference after the warm-up")
    kernels = [event for event in events if event.get("cat") == _NODE and str(event.get("name")).endswith(_KERNEL)]
    found: dict[tuple[str, str, str | None], Operator] = {}
    for event, own_ns in own_times_ns(kernels):
        at = microseconds(event, "ts")
        if at is None or at < begins[0]:
            continue
        told = event.get("args")
        told = told if isinstance(told, dict) else {}
        provider = told.get("provider")
        key = (
            str(told.get("op_name") or "unknown"),
            str(event["name"])[: -len(_KERNEL)],
            None if provider is None else str(provider),
        )
        operator = found.setdefault(key, Operator(*key))
        operator.calls += 1
        operator.total_ns += own_ns
    if not found:
        raise ProfileUnavailable("the runtime's trace names no kernel")
    return Profile(list(found.values()), len(begins))


class OnnxModel(LoadedModel):
    """A session with bound tensors. The memory of the inputs is bound once, and inputs are copied into the memory."""

    def __init__(self, session: Any, inputs: list[InputSlot], identity: dict[str, Any], places: NodePlaces) -> None:
        import numpy

        self.session = session
        self._places = places
        self._identity = identity
        self.inputs = inputs
        self.output_names = [made.name for made in session.get_outputs()]
        self._binding = session.io_binding()
        has_text = any(slot.dtype == TEXT for slot in self.inputs)
        self._buffers = [numpy.zeros(slot.shape, object if slot.dtype == TEXT else slot.dtype) for slot in self.inputs]
        for slot, buffer in zip(self.inputs, self._buffers):
            if slot.dtype != TEXT:
                self._binding.bind_cpu_input(slot.name, buffer)
        for made in session.get_outputs():
            self._binding.bind_output(made.name)
        # A bound output keeps the memory of the first inference, which another number of rows does not fit.
        self._open_outputs = [made.name for made in session.get_outputs() if not _is_settled(made.shape)]
        self._copies: list[Any] = []
        # An accelerator takes the numbers at the time of binding: what is written into the memory later, it never sees.
        self._binds_anew = any(name != "CPUExecutionProvider" for name in session.get_providers())
        # Text cannot be bound: a copy of bound text ends the process.
        self._is_bound = not has_text and all(
            made.type in _DTYPES or made.type in _UNREAD for made in session.get_outputs()
        )
        self._unread = [made for made in session.get_outputs() if made.type in _UNREAD]
        self.invoke = partial(session.run_with_iobinding, self._binding) if self._is_bound else self._invoke_unbound

    def encode_inputs(self, values: list[Any]) -> list[Any]:
        """Return inputs in the model's dtypes. Values for a dtype of whole numbers are rounded."""
        # ONNX inputs carry no scale and no zero point to quantise by.
        return [encode_plain(value, slot) for value, slot in zip(values, self.inputs)]

    def set_inputs(self, encoded: list[Any]) -> None:
        """Copy inputs into the session's bound memory."""
        for buffer, value in zip(self._buffers, encoded):
            buffer[...] = value
        if self._binds_anew:
            for slot, buffer in zip(self.inputs, self._buffers):
                if slot.dtype != TEXT:
                    self._binding.bind_cpu_input(slot.name, buffer)
        for name in self._open_outputs:
            self._binding.bind_output(name)

    def get_outputs(self) -> list[Any]:
        """Return copies of the outputs. Raise RuntimeError for numbers of a kind that numpy lacks."""
        for made in self._unread:
            raise RuntimeError(f"numpy has no numbers such as those of output {made.name!r}, a {made.type}")
        outputs: list[Any] = self._binding.copy_outputs_to_cpu() if self._is_bound else list(self._copies)
        return outputs

    def _invoke_unbound(self) -> None:
        given = {slot.name: buffer for slot, buffer in zip(self.inputs, self._buffers)}
        self._copies = self.session.run(None, given)

    def decode_outputs(self, outputs: list[Any]) -> list[Any]:
        """Return outputs as float32. Whatever is no real number stays as it is."""
        import numpy

        return [value.astype(numpy.float32) if value.dtype.kind in "fiub" else value for value in outputs]

    def variables(self) -> list[str]:
        """Return nothing: an ONNX model has no variables, and its state is an output that is fed back."""
        return []

    def count_nodes(self) -> NodePlaces:
        """Return how many nodes the provider has, and how many the CPU, as far as the release tells."""
        return self._places

    def identity(self) -> dict[str, Any]:
        """Return the runtime's identity. ONNX Runtime does not tell which kernels ran, so `kernels` is None."""
        import numpy

        found = {
            "numpy": numpy.__version__,
            "providers": list(self.session.get_providers()),
            "input_dtypes": [slot.dtype for slot in self.inputs],
            "output_dtypes": [_DTYPES.get(made.type, made.type) for made in self.session.get_outputs()],
            "kernels": None,
            "outputs_bound": self._is_bound,
            "nodes_by_place": self._places.by_place,
        }
        found.update(self._identity)
        return found


def _release(version: str | None) -> tuple[int, ...]:
    """Return the first numbers of a version, or () for an unknown one."""
    numbers = (version or "").split(".")[:2]
    return tuple(int(number) for number in numbers) if all(number.isdigit() for number in numbers) else ()


def _is_settled(shape: Any) -> bool:
    # Empty is the shape of a single number, and of any number of dimensions.
    return isinstance(shape, (list, tuple)) and bool(shape) and all(isinstance(size, int) for size in shape)


def _sizes(shape: Any) -> list[int | None]:
    return [size if isinstance(size, int) else None for size in shape]


def _dtype_name(name: str, given: str) -> str:
    if given == _TEXT:
        return TEXT
    if given not in _DTYPES:
        raise LoadFailure(
            f"input {name!r} is a {given}, which this worker cannot feed; convert the model to another type of "
            "input, or measure it by a program of yours (docs/exec.md)"
        )
    return _DTYPES[given]
