"""Drive a model compiled by OpenVINO for the CPU."""

from __future__ import annotations

import zipfile

from device_worker.trial.causes import describe
from device_worker.trial.declared import batched_shape
from device_worker.trial.encoding import encode_plain
from device_worker.trial.profile import Operator, Profile, ProfileUnavailable
from device_worker.trial.runtimes.archive import files_in, unpack_model
from device_worker.trial.runtimes.base import InputSlot, LoadedModel, LoadFailure, ProfiledModel, Runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from device_worker.protocol.specification import TrialJob

_DEVICE = "CPU"
_PRECISIONS = ("f32", "bf16", "f16")
_DEFAULT_PRECISION = "f32"


class OpenvinoRuntime(Runtime):
    """The imported package openvino.

    The setting `precision` is the type of numbers that float operators compute in. Without it, `f32`: left alone,
    OpenVINO computes in bfloat16 where the processor has AMX, and says nothing.
    """

    engine = "openvino"
    profile_absence = None
    settings = frozenset(("threads", "cpus", "precision", "batch"))

    def __init__(self, job: TrialJob) -> None:
        """Import the package, and unpack an archive of OpenVINO's own format, so that loading leaves out both."""
        super().__init__(job)
        self._file = _unpacked(self._model_path, job.files_dir)

    def load(self) -> LoadedModel:
        """Read and compile the model. Raise LoadFailure for a model that OpenVINO does not read."""
        return self._load({})

    def load_profiled(self, folder: str) -> ProfiledModel:
        """Compile the model with OpenVINO's own counters of operators."""
        return ProfiledOpenvinoModel(self._load({"PERF_COUNT": True}))

    def _load(self, further: dict[str, Any]) -> OpenvinoModel:
        threads = self._settings.get("threads", 1)
        precision = str(self._settings.get("precision", _DEFAULT_PRECISION))
        if precision not in _PRECISIONS:
            raise LoadFailure(f"the setting precision: is one of {', '.join(_PRECISIONS)}; not {precision!r}")
        core = self._module.Core()
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,  # one inference after the other, so that `threads` counts them all
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            model = core.read_model(self._file)
            self._settle(model)
            compiled = core.compile_model(model, _DEVICE, dict(options, **further))
        except RuntimeError as error:
            raise LoadFailure(f"OpenVINO does not load the model: {describe(error)}") from error
        name, version = self._distribution()
        identity = {"name": name, "version": version, "module": self._module_name, "threads": threads}
        made = OpenvinoModel(compiled, identity, self._batch or 1)
        self._refuse_lost_scale(made)
        return made

    def _refuse_lost_scale(self, model: OpenvinoModel) -> None:
        """Raise LoadFailure for an input of whole numbers that stands for the floats which model.yaml declares."""
        for slot in model.inputs:
            wanted = self._declared.of(slot.name).dtype
            if slot.is_whole and wanted is not None and wanted.startswith("float"):
                raise LoadFailure(
                    f"OpenVINO loses the scale of the quantised input {slot.name!r} ({slot.dtype}): give the variant "
                    f"an .onnx artifact, whose inputs are {wanted}, or declare the input as {slot.dtype} in model.yaml"
                )

    def _settle(self, model: Any) -> None:
        """Give every input a whole shape: OpenVINO would compile open sizes into slower code."""
        shapes = {}
        for place, given in enumerate(model.inputs):
            sizes = _sizes(given.get_partial_shape())
            shape = batched_shape(_name(given), sizes, self._declared, self._batch, can_resize=True)
            if list(shape) != sizes:
                shapes[place] = list(shape)
        if shapes:
            model.reshape(shapes)


class OpenvinoModel(LoadedModel):
    """A compiled model with one request. Inputs are copied into the request's memory."""

    def __init__(self, compiled: Any, identity: dict[str, Any], batch: int) -> None:
        self._compiled = compiled
        self._identity = identity
        self._outputs = list(compiled.outputs)
        self.request = compiled.create_infer_request()
        self.output_names = [_name(made) for made in self._outputs]
        self.inputs = [
            InputSlot(_name(given), tuple(int(size) for size in given.shape), _dtype_name(given), batch=batch)
            for given in compiled.inputs
        ]
        # The request's own start and wait: `infer` of Python looks through its arguments at each call.
        self.invoke = self._invoke_with(self.request.start_async, self.request.wait)

    @staticmethod
    def _invoke_with(start: Callable[[], object], wait: Callable[[], object]) -> Callable[[], object]:
        def invoke() -> None:
            start()
            wait()

        return invoke

    def encode_inputs(self, values: list[Any]) -> list[Any]:
        """Return inputs in the model's dtypes. Values for a dtype of whole numbers are rounded."""
        return [encode_plain(value, slot) for value, slot in zip(values, self.inputs)]

    def set_inputs(self, encoded: list[Any]) -> None:
        """Copy inputs into the request's memory."""
        for place, value in enumerate(encoded):
            self.request.get_input_tensor(place).data[...] = value

    def get_outputs(self) -> list[Any]:
        """Return copies of the outputs."""
        return [self.request.get_output_tensor(place).data.copy() for place in range(len(self._outputs))]

    def decode_outputs(self, outputs: list[Any]) -> list[Any]:
        """Return outputs as float32. Whatever is no real number stays as it is."""
        import numpy

        return [value.astype(numpy.float32) if value.dtype.kind in "fiub" else value for value in outputs]

    def variables(self) -> list[str]:
        """Return the names of the request's states."""
        return [str(state.name) for state in self.request.query_state()]

    def reset_variables(self) -> None:
        """Give the request's states their first value."""
        self.request.reset_state()

    def identity(self) -> dict[str, Any]:
        """Return the identity, with the precision that is set and those that the compiled operators have."""
        import numpy

        found = {
            "numpy": numpy.__version__,
            "precision": _text(self._compiled.get_property("INFERENCE_PRECISION_HINT")),
            "kernels": self._kernels(),
            "input_dtypes": [slot.dtype for slot in self.inputs],
            "output_dtypes": [value.dtype.name for value in self.get_outputs()],
        }
        found.update(self._identity)
        return found

    def _kernels(self) -> dict[str, int] | None:
        """Return how many operators compute in which type of numbers, or None where OpenVINO does not tell."""
        counts: dict[str, int] = {}
        try:
            for node in self._compiled.get_runtime_model().get_ordered_ops():
                told = node.get_rt_info()
                precision = _text(told["runtimePrecision"]) if "runtimePrecision" in told else "untold"
                counts[precision] = counts.get(precision, 0) + 1
        except (AttributeError, RuntimeError, KeyError):
            return None
        return counts


class ProfiledOpenvinoModel(ProfiledModel):
    """A compiled model whose counters are read after each inference."""

    def __init__(self, model: OpenvinoModel) -> None:
        self.model: OpenvinoModel = model
        self._runs: list[list[Any]] = []
        plain = model.invoke

        def counted() -> None:
            plain()
            self._runs.append(list(model.request.profiling_info))

        model.invoke = counted

    def read_profile(self, warmup: int) -> Profile:
        """Return the operators of all inferences but the first ones. Raise ProfileUnavailable if none was told."""
        found: dict[str, Operator] = {}
        for run in self._runs[warmup:]:
            for one in run:
                if one.status.name == "EXECUTED":  # others were fused, or had nothing to do
                    known = found.setdefault(one.node_name, Operator(one.node_type, one.node_name, one.exec_type))
                    known.calls += 1
                    known.total_ns += round(one.real_time.total_seconds() * 1e9)  # told in microseconds
        if not found:
            raise ProfileUnavailable("OpenVINO told of no operator")
        return Profile(list(found.values()), len(self._runs) - warmup)


def _name(port: Any) -> str:
    names = port.get_names()
    return str(port.get_any_name()) if names else str(port.get_node().get_friendly_name())


def _sizes(shape: Any) -> list[int | None] | None:
    if shape.rank.is_dynamic:
        return None
    return [size.get_length() if size.is_static else None for size in shape]


def _dtype_name(port: Any) -> str:
    return str(port.get_element_type().to_dtype().name)


def _text(value: Any) -> str:
    """Return a value of OpenVINO in words: a type of numbers by its name, such as f32."""
    plain = getattr(value, "value", value)
    named = getattr(plain, "get_type_name", None)
    return str(plain if named is None else named())


def _unpacked(path: str, beside: str) -> str:
    """Unpack an archive of OpenVINO's own format, an .xml and a .bin, and return the .xml; else the path itself."""
    if not zipfile.is_zipfile(path):
        return path
    found = files_in(unpack_model(path, beside), ".xml")
    if found:
        return found[0]
    raise LoadFailure("the archive of the model holds no .xml file, as OpenVINO writes")
