"""Time the operators of a TensorFlow Lite interpreter by the profiler of its C++ library, through ctypes.

The library calls an object of its class `tflite::Profiler` around each operator. Such an object is made here: a table
of functions in the order of the class. The order is read out of the library's own table of another profiler, by the
addresses of the functions that the library exports by name. A library that exports less has no profile.
"""

from __future__ import annotations

import ctypes
import sys
from time import perf_counter_ns

from device_worker.trial.profile import Operator, Profile, ProfileUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping, Sequence

# Kinds of events: tensorflow/lite/core/api/profiler.h.
_OPERATOR, _DELEGATE, _INSIDE_DELEGATE = 2, 4, 8
_SET_PROFILER = (
    "_ZN6tflite4impl11Interpreter11SetProfilerEPNS_8ProfilerE",
    "_ZN6tflite11Interpreter11SetProfilerEPNS_8ProfilerE",  # up to 2.11
)
_PROFILERS = ("N6tflite9profiling12RootProfiler", "N6tflite8Subgraph21SubgraphAwareProfiler")
_SLOTS_MAX = 16
_BEGIN, _END, _END_WITH_DATA, _ADD = "BeginEvent", "EndEvent", "EndEvent with metadata", "AddEvent"
# The mangled names hold the types of the parameters, so that a function of other parameters is not found.
_METHODS: Mapping[str, tuple[str, list[Any]]] = {
    _BEGIN: ("10BeginEventEPKcNS_8Profiler9EventTypeEll", [ctypes.c_char_p, ctypes.c_int, *[ctypes.c_int64] * 2]),
    _END: ("8EndEventEj", [ctypes.c_uint32]),
    _END_WITH_DATA: ("8EndEventEjll", [ctypes.c_uint32, *[ctypes.c_int64] * 2]),
    _ADD: (
        "8AddEventEPKcNS_8Profiler9EventTypeEmll",
        [ctypes.c_char_p, ctypes.c_int, ctypes.c_uint64, *[ctypes.c_int64] * 2],
    ),
}


class Event:
    """An operator that ran in inference number `run`: the kind of event, the tag, and the node's number."""

    __slots__ = ("begin_ns", "kind", "node", "own_ns", "run", "tag")

    def __init__(self, run: int, kind: int, tag: bytes, node: int) -> None:
        self.run = run
        self.kind = kind
        self.tag = tag
        self.node = node
        self.own_ns = 0
        self.begin_ns = 0


class Recorder:
    """Keeps the events of operators. An event that ends inside another one is none of that one's own time."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.run = -1
        self._open: list[Event | None] = []

    def begin(self, _this: int, tag: bytes, kind: int, node: int, _subgraph: int) -> int:
        """Begin an event, and return the handle that ends it."""
        event = Event(self.run, kind, tag, node) if kind in (_OPERATOR, _DELEGATE) else None
        self._open.append(event)
        if event is not None:
            event.begin_ns = perf_counter_ns()  # last, so that recording is no part of the time
        return len(self._open) - 1

    def end(self, _this: int, handle: int, *_data: int) -> None:
        """End the event of a handle."""
        now = perf_counter_ns()
        if not 0 <= handle < len(self._open):
            return
        event = self._open[handle]
        del self._open[handle:]
        if event is not None:
            self._keep(event, now - event.begin_ns)

    def add(self, _this: int, tag: bytes, kind: int, elapsed_us: int, node: int, _subgraph: int) -> None:
        """Keep an operator that a delegate has timed itself, in microseconds."""
        if kind == _INSIDE_DELEGATE:
            self._keep(Event(self.run, kind, tag, node), elapsed_us * 1000)

    def _keep(self, event: Event, duration_ns: int) -> None:
        event.own_ns += duration_ns
        self.events.append(event)
        around = next((one for one in reversed(self._open) if one is not None), None)
        if around is not None:
            around.own_ns -= duration_ns

    def to_profile(self, warmup: int, names: Sequence[str], delegate: str | None) -> Profile:
        """Return the operators of all inferences but the first ones. `names` are those of the nodes, by number.

        Raise ProfileUnavailable if no operator was told.
        """
        found: dict[tuple[int, bytes, int], Operator] = {}
        for event in self.events:
            if event.run >= warmup:
                key = (event.kind, event.tag, event.node)
                operator = found.get(key)
                if operator is None:
                    operator = found[key] = _operator(event, names, delegate)
                operator.calls += 1
                operator.total_ns += max(0, event.own_ns)
        if not found:
            raise ProfileUnavailable("the interpreter told of no operator: a delegate without a profiler ran them all")
        return Profile(list(found.values()), self.run + 1 - warmup)


class InterpreterProfiler:
    """A profiler that the library of an interpreter calls. `attach` before the interpreter allocates its tensors."""

    def __init__(self, interpreter: Any) -> None:
        self.recorder = Recorder()
        self._handle = _handle_of(interpreter)
        self._library = _library_of(interpreter)
        self._functions: list[Any] = []  # kept, since the library keeps no reference
        self._table = self._make_table()
        self._object = (ctypes.c_void_p * 1)(ctypes.addressof(self._table))

    def attach(self) -> None:
        """Let the interpreter call this profiler."""
        self._set(ctypes.addressof(self._object))

    def detach(self) -> None:
        """Let the interpreter call no profiler."""
        self._set(None)

    def counting(self, invoke: Callable[[], object]) -> Callable[[], object]:
        """Return `invoke`, so that each call counts as an inference."""

        def counted() -> object:
            self.recorder.run += 1
            return invoke()

        return counted

    def _set(self, address: int | None) -> None:
        name = next((one for one in _SET_PROFILER if _address(self._library, one) is not None), None)
        if name is None:
            raise ProfileUnavailable(_no_profiler(self._library))
        function = getattr(self._library, name)
        function.argtypes, function.restype = [ctypes.c_void_p, ctypes.c_void_p], None
        function(self._handle, address)

    def _make_table(self) -> Any:
        """Return the table of functions, in the order of the library. Raise ProfileUnavailable if none is known."""
        for profiler in _PROFILERS:
            slots = _find_slots(self._library, profiler)
            if {_BEGIN, _END}.issubset(slots):
                return self._fill(slots)
        raise ProfileUnavailable(_no_profiler(self._library))

    def _fill(self, slots: dict[str, int]) -> Any:
        recorder = self.recorder
        calls: dict[str, Any] = {_BEGIN: recorder.begin, _END: recorder.end, _END_WITH_DATA: recorder.end}
        calls[_ADD] = recorder.add
        nothing = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _this: None)
        self._functions.append(nothing)
        table = (ctypes.c_void_p * _SLOTS_MAX)(*[ctypes.cast(nothing, ctypes.c_void_p).value] * _SLOTS_MAX)
        for method, slot in slots.items():
            returns = ctypes.c_uint32 if method == _BEGIN else None
            prototype: Any = ctypes.CFUNCTYPE(returns, ctypes.c_void_p, *_METHODS[method][1])
            function = prototype(calls[method])
            self._functions.append(function)
            table[slot] = ctypes.cast(function, ctypes.c_void_p).value
        return table


def node_names(interpreter: Any) -> list[str]:
    """Return the name of each node's first output, by the node's number. Return [] if the interpreter tells none."""
    try:
        tensors = {int(tensor["index"]): str(tensor["name"]) for tensor in interpreter.get_tensor_details()}
        nodes = {int(node["index"]): node for node in interpreter._get_ops_details()}
    except (AttributeError, RuntimeError, ValueError, KeyError):
        return []
    outputs = (nodes[at]["outputs"] if at in nodes else [] for at in range(max(nodes, default=-1) + 1))
    return [tensors.get(int(made[0]), "") if len(made) else "" for made in outputs]


# A library that tells nothing of a delegate's own operators has the delegate's part of the model as one operator.
_WHOLE_DELEGATES = {"TfLiteXNNPackDelegate": "XNNPACK"}


def _operator(event: Event, names: Sequence[str], delegate: str | None) -> Operator:
    tag = event.tag.decode("utf-8", "replace")
    if event.kind == _OPERATOR:
        known = names[event.node] if 0 <= event.node < len(names) else ""
        return Operator(tag, known or f"node {event.node}", _WHOLE_DELEGATES.get(tag, "interpreter"))
    return Operator(tag, f"delegate's node {event.node}", tag if event.kind == _DELEGATE else delegate)


def _handle_of(interpreter: Any) -> int:
    """Return the address of the C++ interpreter. Raise ProfileUnavailable if nobody tells."""
    for owner, name in ((interpreter, "_native_handle"), (getattr(interpreter, "_interpreter", None), "interpreter")):
        method = getattr(owner, name, None)
        found = method() if method is not None else None
        if isinstance(found, int) and found:
            return found
    raise ProfileUnavailable("the package does not tell where its interpreter is, which a profiler is attached to")


def _library_of(interpreter: Any) -> Any:
    module = sys.modules.get(type(getattr(interpreter, "_interpreter", None)).__module__)
    path = getattr(module, "__file__", None)
    if path is None:
        raise ProfileUnavailable("the package has no library that a profiler could be attached to")
    try:
        return ctypes.CDLL(path)
    except OSError as error:
        raise ProfileUnavailable(f"the package's library does not open: {error}") from error


def _find_slots(library: Any, profiler: str) -> dict[str, int]:
    """Return the places of the methods in the table of one of the library's own profilers, and {} without one."""
    try:
        table = (ctypes.c_void_p * (_SLOTS_MAX + 2)).in_dll(library, f"_ZTV{profiler}E")
    except ValueError:
        return {}
    # The table begins with an offset and the class's own description: Itanium C++ ABI, 2.5.2.
    entries = list(table)[2:]
    found = {}
    for method, (mangled, _) in _METHODS.items():
        address = _address(library, f"_Z{profiler}{mangled}")
        if address is not None and address in entries:
            found[method] = entries.index(address)
    return found


def _address(library: Any, name: str) -> int | None:
    try:
        return ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    except AttributeError:
        return None


def _no_profiler(library: Any) -> str:
    return f"{str(library._name).rpartition('/')[2]} exports no profiler: this package tells nothing of its operators"
