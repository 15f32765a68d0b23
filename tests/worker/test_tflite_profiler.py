"""Events of an interpreter's operators, without an interpreter, and packages that have no profiler."""

import sys
from types import SimpleNamespace

import pytest

from device_worker.trial.profile import ProfileUnavailable
from device_worker.trial.runtimes import tflite_profiler
from device_worker.trial.runtimes.tflite_profiler import InterpreterProfiler, Recorder, node_names

INVOKE, OPERATOR, DELEGATE, INSIDE = 1, 2, 4, 8


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""
    now = SimpleNamespace(ns=0)
    monkeypatch.setattr(tflite_profiler, "perf_counter_ns", lambda: now.ns)
    return now


class Interpreter:
    """Calls a recorder as the library does."""

    def __init__(self, recorder, clock):
        self._recorder = recorder
        self._clock = clock

    def invoke(self, *steps):
        self._recorder.run += 1
        whole = self._recorder.begin(0, b"Invoke", INVOKE, 0, 0)
        for step in steps:
            self._step(*step)
        self._recorder.end(0, whole)

    def _step(self, tag, node, ns, inside=(), kind=OPERATOR):
        handle = self._recorder.begin(0, tag, kind, node, 0)
        self._clock.ns += ns
        for one in inside:
            if one[0] == "delegate":
                self._recorder.add(0, one[1], INSIDE, one[2], one[3], 0)
            else:
                self._step(*one)
        self._recorder.end(0, handle, 0, 0)


def times_of(profile):
    return {(one.operator, one.name): (one.calls, one.total_ns, one.placed_on) for one in profile.operators}


def test_operators_are_summed_by_node_after_the_warmup(clock):
    recorder = Recorder()
    interpreter = Interpreter(recorder, clock)
    for ns in (900, 10, 30):
        interpreter.invoke((b"CONV_2D", 0, ns), (b"CONV_2D", 1, 7))
    profile = recorder.to_profile(1, ["first", ""], None)
    assert profile.runs == 2
    assert times_of(profile) == {
        ("CONV_2D", "first"): (2, 40, "interpreter"),
        ("CONV_2D", "node 1"): (2, 14, "interpreter"),
    }


def test_what_ran_inside_is_counted_once(clock):
    recorder = Recorder()
    Interpreter(recorder, clock).invoke((b"IF", 0, 5, [(b"ADD", 3, 20)]))
    assert {name: own for (name, _), (_, own, _) in times_of(recorder.to_profile(0, [], None)).items()} == {
        "IF": 5,
        "ADD": 20,
    }


def test_a_delegate_times_its_operators_itself(clock):
    recorder = Recorder()
    inside = [("delegate", b"Convolution", 3, 0), ("delegate", b"Softmax", 1, 1)]
    Interpreter(recorder, clock).invoke((b"TfLiteXNNPackDelegate", 8, 5000, inside, DELEGATE), (b"ADD", 1, 10))
    assert times_of(recorder.to_profile(0, [], "XNNPACK")) == {
        ("Convolution", "delegate's node 0"): (1, 3000, "XNNPACK"),
        ("Softmax", "delegate's node 1"): (1, 1000, "XNNPACK"),
        ("TfLiteXNNPackDelegate", "delegate's node 8"): (1, 1000, "TfLiteXNNPackDelegate"),
        ("ADD", "node 1"): (1, 10, "interpreter"),
    }


def test_an_end_without_a_begin_changes_nothing(clock):
    recorder = Recorder()
    recorder.end(0, 7)
    Interpreter(recorder, clock).invoke((b"ADD", 0, 10))
    assert times_of(recorder.to_profile(0, [], None)) == {("ADD", "node 0"): (1, 10, "interpreter")}


def test_a_model_that_a_silent_delegate_ran_has_no_profile(clock):
    recorder = Recorder()
    Interpreter(recorder, clock).invoke()
    with pytest.raises(ProfileUnavailable, match="without a profiler"):
        recorder.to_profile(0, [], None)


@pytest.mark.parametrize(
    ("interpreter", "words"),
    [
        (SimpleNamespace(), "does not tell where"),
        (SimpleNamespace(_native_handle=lambda: 0), "does not tell where"),
        (SimpleNamespace(_native_handle=lambda: 1), "no library"),
    ],
)
def test_a_package_without_a_library_has_no_profiler(interpreter, words):
    with pytest.raises(ProfileUnavailable, match=words):
        InterpreterProfiler(interpreter)


def test_a_library_that_exports_no_profiler_is_not_guessed_at():
    # Any library that is no interpreter's.
    libraries = [name for name, one in sys.modules.items() if str(getattr(one, "__file__", "")).endswith(".so")]
    if not libraries:
        pytest.skip("this Python has all of its modules built in")
    inner = type("Inner", (), {"__module__": libraries[0]})()
    with pytest.raises(ProfileUnavailable, match="exports no profiler"):
        InterpreterProfiler(SimpleNamespace(_native_handle=lambda: 1, _interpreter=inner))


def test_nodes_are_named_by_their_first_output():
    interpreter = SimpleNamespace(
        get_tensor_details=lambda: [{"index": 3, "name": "probabilities"}],
        _get_ops_details=lambda: [{"index": 1, "outputs": [3]}, {"index": 2, "outputs": []}],
    )
    assert node_names(interpreter) == ["", "probabilities", ""]
    assert node_names(SimpleNamespace()) == []
