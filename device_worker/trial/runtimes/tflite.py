"""Drive a TensorFlow Lite interpreter of tflite-runtime, LiteRT or TensorFlow."""

from __future__ import annotations

import importlib
from time import perf_counter_ns

from device_worker.protocol.settings import parse_options
from device_worker.trial.batching import cannot
from device_worker.trial.causes import describe
from device_worker.trial.declared import batched_shape
from device_worker.trial.delegation import INTERPRETER, NodePlaces
from device_worker.trial.profile import ProfileUnavailable
from device_worker.trial.runtimes.base import (
    InputSlot,
    LoadedModel,
    LoadFailure,
    ProfiledModel,
    Runtime,
)
from device_worker.trial.runtimes.tflite_signature import TfliteSignatureModel
from device_worker.trial.runtimes.tflite_tensors import dequantise, dtype_name, quantise, range_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.trial.profile import Profile
    from device_worker.trial.runtimes.tflite_profiler import InterpreterProfiler

_NO_DELEGATE = "none"
_XNNPACK = "XNNPACK"
_CALL = "tf.lite"
_DELEGATE_OP = "DELEGATE"
_KEEPING = frozenset(
    (
        "SVDF",
        "RNN",
        "LSTM",
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        "UNIDIRECTIONAL_SEQUENCE_RNN",
        "BIDIRECTIONAL_SEQUENCE_LSTM",
        "BIDIRECTIONAL_SEQUENCE_RNN",
    )
)
"""Operators with variable tensors."""
_RESOURCES = frozenset(("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"))
_KERNELS = {
    "xnnpack": "AUTO",
    "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "reference": "BUILTIN_REF",
}
"""The values of the setting `kernels`, with the package's own words for them."""


class TfliteRuntime(Runtime):
    """The imported module of the interpreter.

    The setting `delegate` is a shared library of the device, such as `libedgetpu.so.1`, or `xnnpack`, which most
    packages apply without being asked. `none` is the same as no setting, so that a sweep can compare a delegate with
    the plain interpreter. `delegate_options` are options of such a library, KEY=VALUE, with commas between them.
    `signature` names the signature of the file that is called. The setting `call` has one value, `tf.lite`, so that a
    sweep can set the interpreter beside the other ways of calling a model of TensorFlow. The setting `kernels` says
    whose kernels run: `xnnpack` where it knows the operator (what packages do unasked), `builtin`, which are the
    interpreter's own, or `reference`, which are plain C++ without any tuning.
    """

    engine = "tflite"
    profile_absence = None
    settings = frozenset(("threads", "cpus", "delegate", "delegate_options", "batch", "call", "kernels", "signature"))

    def _import_module(self, name: str) -> Any:
        root, _, rest = name.partition(".")
        if root == "tensorflow":  # parts of tensorflow are attributes made on first use, and not all are modules
            found = importlib.import_module(root)
            for part in rest.split(".") if rest else ():
                found = getattr(found, part)
            return found
        return importlib.import_module(name)

    def load(self) -> LoadedModel:
        """Create the interpreter and allocate the tensors. Raise LoadFailure if the delegate cannot be loaded."""
        interpreter = self._create()
        signature = self._settings.get("signature")
        if signature is None:
            return self._allocate(interpreter)
        name, version = self._distribution()
        identity = dict(self._identity, name=name, version=version)
        return TfliteSignatureModel(interpreter, str(signature), identity, self._declared, self._batch)

    def load_profiled(self, folder: str) -> ProfiledModel:
        """Create the interpreter with a profiler. Raise ProfileUnavailable for a package without one."""
        from device_worker.trial.runtimes.tflite_profiler import InterpreterProfiler

        if self._settings.get("signature") is not None:
            raise ProfileUnavailable("operators of a named signature are not told apart")
        interpreter = self._create()
        profiler = InterpreterProfiler(interpreter)
        profiler.attach()  # before the tensors are allocated: XNNPACK asks there whether to time its operators
        return ProfiledTfliteModel(self._allocate(interpreter), profiler)

    def _create(self) -> Any:
        if self._settings.get("call", _CALL) != _CALL:
            raise LoadFailure(f"an interpreter is called by {_CALL} alone, not {self._settings['call']!r}")
        threads = self._settings.get("threads", 1)
        named = self._settings.get("delegate", _NO_DELEGATE)
        is_own = str(named).upper() == _XNNPACK
        delegate = None if named == _NO_DELEGATE or is_own else str(named)
        delegates = None if delegate is None else [self._load_delegate(delegate)]
        if delegate is None and self._settings.get("delegate_options") is not None:
            raise LoadFailure("delegate_options: are of a delegate that is a library; the cell names none")
        interpreter = self._module.Interpreter(
            model_path=self._model_path,
            num_threads=threads,
            experimental_delegates=delegates,
            **self._resolver(),
        )
        self._identity = {
            "module": self._module_name,
            "threads": threads,
            "delegates": [delegate] if delegate else None,
            "delegate_options": self._settings.get("delegate_options"),
            "kernels": self._settings.get("kernels"),
        }
        self._asked = _XNNPACK if is_own else delegate
        # XNNPACK is applied as the tensors are allocated: what is delegated by now, the library asked for has taken.
        self._taken = None if delegate is None else find_delegated(interpreter)
        return interpreter

    def _load_delegate(self, library: str) -> Any:
        try:
            options = parse_options(self._settings.get("delegate_options"))
        except ValueError as error:
            raise LoadFailure(f"the setting delegate_options: {error}") from None
        return _load_delegate(self._module, library, options)

    def _resolver(self) -> dict[str, Any]:
        """Return the argument that chooses the kernels; {} where the sweep leaves the choice to the package."""
        named = self._settings.get("kernels")
        if named is None:
            return {}
        if named not in _KERNELS:
            raise LoadFailure(f"the setting kernels: is one of {', '.join(_KERNELS)}; not {named!r}")
        types = getattr(self._module, "OpResolverType", None) or getattr(
            getattr(self._module, "experimental", None), "OpResolverType", None
        )
        if types is None:
            raise LoadFailure(f"{self._module_name} does not let anybody choose the kernels")
        return {"experimental_op_resolver_type": types[_KERNELS[named]]}

    def _allocate(self, interpreter: Any) -> TfliteModel:
        for detail in interpreter.get_input_details():
            sizes = [None if size < 0 else int(size) for size in detail.get("shape_signature", detail["shape"])]
            if None in sizes or self._batch is not None:  # the file has 1 for each open size, which is nobody's input
                shape = batched_shape(detail["name"], sizes, self._declared, self._batch, can_resize=True)
                if shape != tuple(detail["shape"]):
                    interpreter.resize_tensor_input(detail["index"], shape)
        begin = perf_counter_ns()
        try:
            interpreter.allocate_tensors()
        except RuntimeError as error:
            if self._batch is None or self._batch == 1:
                raise
            raise cannot(self._batch, describe(error)) from error
        allocate_ns = perf_counter_ns() - begin
        name, version = self._distribution()
        places = _PlaceFinder(self._asked, self._taken)
        identity = dict(self._identity, name=name, version=version)
        return TfliteModel(interpreter, identity, allocate_ns, places, self._batch or 1)


class ProfiledTfliteModel(ProfiledModel):
    """An interpreter with a profiler attached."""

    def __init__(self, model: TfliteModel, profiler: InterpreterProfiler) -> None:
        self.model: TfliteModel = model
        self._profiler = profiler
        model.invoke = profiler.counting(model.invoke)

    def read_profile(self, warmup: int) -> Profile:
        """Return the operators of all inferences but the first ones. Raise ProfileUnavailable."""
        self._profiler.detach()
        delegates = self.model.identity()["delegates"] or []
        # Of several delegates nobody says which one has timed an operator.
        delegate = delegates[0] if len(delegates) == 1 else None
        return self._profiler.recorder.to_profile(warmup, self.model.node_names(), delegate)


class TfliteModel(LoadedModel):
    """An interpreter with allocated tensors."""

    def __init__(
        self,
        interpreter: Any,
        identity: dict[str, Any],
        allocate_ns: int,
        places: _PlaceFinder | None = None,
        batch: int = 1,
    ) -> None:
        self.allocate_ns = allocate_ns
        self._places = places or _PlaceFinder(None, None)
        self._interpreter = interpreter
        self._identity = identity
        self._inputs = interpreter.get_input_details()
        self._outputs = interpreter.get_output_details()
        self.invoke = interpreter.invoke
        self.inputs = [
            InputSlot(
                detail["name"],
                tuple(int(size) for size in detail["shape"]),
                dtype_name(detail),
                is_quantised=range_of(detail) is not None,
                batch=batch,
            )
            for detail in self._inputs
        ]
        self.input_ranges = [range_of(detail) for detail in self._inputs]
        self.output_names = [detail["name"] for detail in self._outputs]

    def node_names(self) -> list[str]:
        """Return the name of each node's first output, by the node's number."""
        from device_worker.trial.runtimes.tflite_profiler import node_names

        return node_names(self._interpreter)

    def encode_inputs(self, values: list[Any]) -> list[Any]:
        """Return inputs in the model's dtypes. A quantised input clips what is beyond its range."""
        return [quantise(value, detail) for value, detail in zip(values, self._inputs)]

    def set_inputs(self, encoded: list[Any]) -> None:
        """Copy inputs into the input tensors."""
        for value, detail in zip(encoded, self._inputs):
            self._interpreter.set_tensor(detail["index"], value)

    def get_outputs(self) -> list[Any]:
        """Return copies of the output tensors."""
        return [self._interpreter.get_tensor(detail["index"]) for detail in self._outputs]

    def decode_outputs(self, outputs: list[Any]) -> list[Any]:
        """Return outputs as float32. Whatever is no real number stays as it is."""
        return [dequantise(value, detail) for value, detail in zip(outputs, self._outputs)]

    def variables(self) -> list[str] | None:
        """Return the kinds of operators that keep a state."""
        nodes = list_nodes(self._interpreter)
        return None if nodes is None else sorted({node["op_name"] for node in nodes} & (_KEEPING | _RESOURCES))

    def reset_variables(self) -> None:
        """Set variable tensors to zero. Raise LoadFailure for resource variables, which the interpreter leaves."""
        resources = sorted(set(self.variables() or ()) & _RESOURCES)
        if resources:
            raise LoadFailure(
                f"the model keeps its state in resource variables ({', '.join(resources)}), which no call of "
                "TensorFlow Lite's interpreter resets; declare state: keep in model.yaml"
            )
        self._interpreter.reset_all_variables()

    def count_nodes(self) -> NodePlaces:
        """Return how many nodes each delegate and the interpreter run."""
        return self._places.find(self._interpreter)

    def identity(self) -> dict[str, Any]:
        """Return the runtime's identity. `kernels` are those asked for: TFLite does not tell which kernels ran."""
        import numpy

        by_place = self.count_nodes().by_place
        nodes = None if by_place is None else sum(by_place.values())
        delegated = None if by_place is None or nodes is None else nodes - by_place[INTERPRETER]
        found = {
            "numpy": numpy.__version__,
            "input_dtypes": [slot.dtype for slot in self.inputs],
            "output_dtypes": [dtype_name(detail) for detail in self._outputs],
            "nodes": nodes,
            "delegated_nodes": delegated,
            "nodes_by_place": by_place,
        }
        found.update(self._identity)
        if found["delegates"] is None and delegated is not None:
            found["delegates"] = [_XNNPACK] if delegated else []  # CPU builds apply XNNPACK without being asked
        return found


def _load_delegate(module: Any, library: str, options: dict[str, str]) -> Any:
    load = getattr(module, "load_delegate", None) or getattr(
        getattr(module, "experimental", None), "load_delegate", None
    )
    if load is None:
        raise LoadFailure(f"{module.__name__} cannot load delegates")
    try:
        return load(library, options) if options else load(library)
    except (OSError, ValueError) as error:
        raise LoadFailure(f"the delegate {library}: {describe(error)}") from error


class _PlaceFinder:
    """Finds the places of nodes. `taken` are the nodes of the library asked for, or None where that is unknown."""

    def __init__(self, asked: str | None, taken: set[int] | None) -> None:
        self._asked = asked
        self._taken = taken

    def find(self, interpreter: Any) -> NodePlaces:
        """Return where the nodes of an interpreter with allocated tensors run."""
        nodes, delegated = list_nodes(interpreter), find_delegated(interpreter)
        is_library = self._asked not in (None, _XNNPACK)
        if nodes is None or delegated is None or (is_library and self._taken is None):
            return NodePlaces(self._asked, None, reason="this package does not list the nodes of its interpreter")
        taken = (self._taken or set()) & delegated
        places = {_XNNPACK: len(delegated - taken), INTERPRETER: len(nodes) - len(delegated)}
        return NodePlaces(self._asked, {str(self._asked): len(taken), **places} if is_library else places)


def list_nodes(interpreter: Any) -> list[Any] | None:
    """Return the model's own nodes, or None if the interpreter does not tell."""
    listed = _listed(interpreter)
    return None if listed is None else [node for node in listed if node["op_name"] != _DELEGATE_OP]


def find_delegated(interpreter: Any) -> set[int] | None:
    """Return the numbers of the model's nodes that a delegate runs, or None if the interpreter does not tell."""
    # The interpreter lists the original nodes and the delegate's nodes. A delegate's node replaces all original nodes
    # between its inputs and its outputs: walk back from the outputs to count them.
    listed, nodes = _listed(interpreter), list_nodes(interpreter)
    if listed is None or nodes is None:
        return None
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
    return delegated


def _listed(interpreter: Any) -> list[Any] | None:
    try:
        return list(interpreter._get_ops_details())
    except (AttributeError, RuntimeError, ValueError):
        return None
