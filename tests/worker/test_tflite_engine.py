"""What the TensorFlow Lite engine makes of its interpreter, without one: modules, settings, nodes, versions."""

import importlib
import sys

import pytest

from device_worker.protocol.fields import BadField, Fields
from device_worker.protocol.specification import TrialJob
from device_worker.trial.runtimes import ENGINES
from device_worker.trial.runtimes.base import LoadFailure, Runtime
from device_worker.trial.runtimes.distribution import find_version
from device_worker.trial.runtimes.tflite import TfliteRuntime, find_delegated, list_nodes

JOB = {
    "engine": "tflite",
    "settings": {"threads": 1},
    "module": "auto",
    "python_path": [],
    "model_path": "/model",
    "dataset_path": None,
    "files_dir": "/files",
}
INTERPRETER = "class Interpreter:\n    def __init__(self, **_):\n        raise ValueError('Could not open model')\n"


def open_runtime(**fields):
    return TfliteRuntime(TrialJob(Fields(dict(JOB, **fields), "job")))


PACKAGES = ("tflite_runtime", "ai_edge_litert", "tensorflow", "anything")


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function that installs packages of source text for one test."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
        monkeypatch.delitem(sys.modules, name)  # another test's, and not to be found instead of the installed one
    before = set(sys.modules)

    def install_package(name, **modules):
        (tmp_path / name).mkdir()
        for module, text in dict({"__init__": ""}, **modules).items():
            (tmp_path / name / (module + ".py")).write_text(text)
        importlib.invalidate_caches()

    yield install_package
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in PACKAGES:
            del sys.modules[name]


class Interpreter:
    """Lists nodes as TensorFlow Lite does: the original ones, then one for each part that a delegate took over."""

    def __init__(self, *nodes):
        self._nodes = nodes

    def _get_ops_details(self):
        return [
            {"index": index, "op_name": name, "inputs": given, "outputs": made}
            for index, (name, given, made) in enumerate(self._nodes)
        ]


CHAIN = [("CONV_2D", [0, 1], [2]), ("RELU", [2], [3]), ("CUSTOM", [3], [4]), ("SOFTMAX", [4], [5])]


@pytest.mark.parametrize(
    ("delegates", "delegated"),
    [
        ([], 0),
        ([("DELEGATE", [0], [5])], 4),
        ([("DELEGATE", [0], [3])], 2),
        ([("DELEGATE", [0], [3]), ("DELEGATE", [4], [5])], 3),
        ([("DELEGATE", [2, 1], [3])], 1),
    ],
)
def test_delegated_nodes_are_those_between_a_delegates_ends(delegates, delegated):
    interpreter = Interpreter(*CHAIN, *delegates)
    assert (len(list_nodes(interpreter)), len(find_delegated(interpreter))) == (4, delegated)


def test_an_interpreter_that_does_not_list_its_nodes_is_unknown():
    assert (list_nodes(object()), find_delegated(object())) == (None, None)


def test_every_engine_is_a_runtime():
    for engine in ENGINES.values():
        module, _, name = engine.place.partition(":")
        assert issubclass(getattr(importlib.import_module(module), name), Runtime)


def test_auto_takes_the_first_module_that_imports(install):
    install("ai_edge_litert", interpreter=INTERPRETER)
    install("tflite_runtime", interpreter="raise ImportError('libpython is missing')")
    assert open_runtime()._module_name == "ai_edge_litert.interpreter"


def test_a_module_that_is_named_is_not_replaced_by_another(install):
    install("ai_edge_litert", interpreter=INTERPRETER)
    install("tflite_runtime", interpreter="raise ImportError('libpython is missing')")
    with pytest.raises(LoadFailure, match="libpython is missing"):
        open_runtime(module="tflite_runtime.interpreter")


def test_without_any_module_each_is_named(install):
    for name in ("tflite_runtime", "ai_edge_litert", "tensorflow"):
        install(name, interpreter="raise ImportError", lite="", __init__="raise ImportError('broken')")
    with pytest.raises(LoadFailure) as failed:
        open_runtime()
    assert [word for word in ("tflite_runtime", "ai_edge_litert", "tensorflow") if word not in str(failed.value)] == []


def test_a_setting_that_would_do_nothing_is_refused():
    with pytest.raises(LoadFailure, match="'thread'"):
        open_runtime(settings={"thread": 4})


RECORDING_INTERPRETER = """
class Interpreter:
    def __init__(self, **options):
        self.options = options
    def allocate_tensors(self):
        pass
    def get_input_details(self):
        return []
    get_output_details = get_input_details
    invoke = None
def load_delegate(library):
    return 'loaded ' + library
"""


@pytest.mark.parametrize(
    ("settings", "delegates", "named"),
    [
        ({}, None, None),
        ({"delegate": "none"}, None, None),
        ({"delegate": "xnnpack"}, None, None),
        ({"delegate": "libedgetpu.so.1"}, ["loaded libedgetpu.so.1"], ["libedgetpu.so.1"]),
    ],
)
def test_a_delegate_is_loaded_where_one_is_asked_for(install, settings, delegates, named):
    install("tflite_runtime", interpreter=RECORDING_INTERPRETER)
    session = open_runtime(settings=settings).load()
    assert session._interpreter.options["experimental_delegates"] == delegates
    assert session._identity["delegates"] == named


@pytest.mark.parametrize("batch", [0, "8", 1.5, True])
def test_a_batch_that_is_no_number_of_items_is_refused(batch):
    with pytest.raises(BadField, match=r"settings\.batch"):
        open_runtime(settings={"batch": batch})


def test_a_job_without_a_model_is_refused():
    with pytest.raises(LoadFailure, match="no model"):
        open_runtime(model_path=None)


@pytest.mark.parametrize(
    ("folder", "version"),
    [
        ("anything-2.14.0.dist-info", "2.14.0"),
        ("Anything-1.0.post1.dist-info", "1.0.post1"),
        ("anything-2.5.0.egg-info", "2.5.0"),
        ("anything-2.5.0-py3.9.egg-info", "2.5.0"),
        ("anything_else-9.9.dist-info", None),
    ],
)
def test_a_version_is_found_beside_the_package(install, tmp_path, folder, version):
    install("anything")
    (tmp_path / folder).mkdir()
    assert find_version(importlib.import_module("anything"), "anything") == version


def test_a_packages_own_version_comes_first(install, tmp_path):
    install("anything", __init__="__version__ = '3.0'")
    (tmp_path / "anything-2.14.0.dist-info").mkdir()
    assert find_version(importlib.import_module("anything"), "anything") == "3.0"


RESOLVING = (
    "class OpResolverType(dict):\n    pass\n"
    "OpResolverType = {'AUTO': 0, 'BUILTIN_REF': 2, 'BUILTIN_WITHOUT_DEFAULT_DELEGATES': 3}\n"
    "class Interpreter:\n    def __init__(self, experimental_op_resolver_type=None, **_):\n"
    "        raise ValueError('asked for %s' % experimental_op_resolver_type)\n"
)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "asked for None"),
        ({"kernels": "xnnpack"}, "asked for 0"),
        ({"kernels": "builtin"}, "asked for 3"),
        ({"kernels": "reference"}, "asked for 2"),
    ],
)
def test_a_sweep_chooses_the_kernels(install, settings, words):
    install("tflite_runtime", interpreter=RESOLVING)
    with pytest.raises(ValueError, match=words):
        open_runtime(settings=settings).load()


def test_kernels_that_nobody_has_are_refused(install):
    install("tflite_runtime", interpreter=RESOLVING)
    with pytest.raises(LoadFailure, match="kernels: is one of xnnpack, builtin, reference; not 'fast'"):
        open_runtime(settings={"kernels": "fast"}).load()
    install("ai_edge_litert", interpreter=INTERPRETER)
    with pytest.raises(LoadFailure, match="does not let anybody choose"):
        open_runtime(module="ai_edge_litert.interpreter", settings={"kernels": "builtin"}).load()
