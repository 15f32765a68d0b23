"""Inputs of text, truth values and 64-bit numbers, and several at once, from a data set, in real runtimes."""

import base64
import io
import struct
import sys

import pytest

from bundles import pack_bundle
from text_models import choosing_onnx, comparing_tflite, labelling_onnx
from worker_client import trials_of

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(not (3, 10) <= sys.version_info < (3, 12), reason="not both runtimes have a wheel"),
]
PACKAGES = {"tflite": ["tflite-runtime==2.14.0", "numpy<2"], "onnxruntime": ["onnxruntime==1.20.1"]}
MODULES = {"tflite": "tflite_runtime.interpreter", "onnxruntime": "onnxruntime"}
ANY = {"low": 0.0, "high": 9.0}


@pytest.fixture(scope="session")
def bundles(tmp_path_factory):
    """A zip of each runtime, by engine."""
    return {engine: pack_bundle(tmp_path_factory.mktemp(engine), packages) for engine, packages in PACKAGES.items()}


@pytest.fixture
def add_job(plans, bundles):
    """A function that adds a job of a model for an engine, a preflight and a timed trial."""

    def add(name, engine, model, **fields):
        job = {
            "engine": engine,
            "module": MODULES[engine],
            "settings": {"threads": 1},
            "python_path": [plans.add_blob(bundles[engine], "bundle")],
            "model": plans.add_file(name + ".model", model, "model"),
            "input": ANY,
            "accuracy_metric": None if fields.get("dataset") is None else "outputs",
        }
        plans.add_job(name, **dict(job, **fields))
        plans.add_trials(name, 1, preflight=True)

    return add


@pytest.fixture
def run(device, plans):
    """A function that runs the plan and returns its finished trials by name."""

    def run_plan():
        plans.plan["limits"]["trial_timeout_s"] = 60.0
        return {event["trial"]: event for event in trials_of(device.execute("run-1", plans))}

    return run_plan


def values_of(finished):
    assert finished["failure"] is None, finished["failure"]
    kept = finished["outputs"]
    flat = struct.unpack(f"<{kept['count'] * kept['values_per_output']}f", base64.b64decode(kept["data"]))
    width = kept["values_per_output"]
    return [list(flat[begin : begin + width]) for begin in range(0, len(flat), width)]


@pytest.fixture
def add_dataset(plans):
    """A function that adds a data set of arrays, and returns how a job names it."""
    numpy = pytest.importorskip("numpy")

    def add(**arrays):
        content = io.BytesIO()
        numpy.savez(content, **{name: numpy.array(rows) for name, rows in arrays.items()})
        return plans.add_file("inputs.npz", content.getvalue(), "dataset")

    return add


def test_text_comes_from_a_data_set_and_is_never_made_up(add_job, add_dataset, run):
    words = [["ja", "nein"], ["nein", "Straße"]]
    add_job("onnx", "onnxruntime", labelling_onnx(), dataset=add_dataset(x=words))
    add_job("tflite", "tflite", comparing_tflite(), dataset=add_dataset(a=words, b=[["ja", "ja"], ["ja", "Straße"]]))
    add_job("drawn", "onnxruntime", labelling_onnx())
    add_job("numbers", "onnxruntime", labelling_onnx(), dataset=add_dataset(words=[[1.0, 2.0]]))
    finished = run()
    assert values_of(finished["onnx.0"]) == [[1.0, -1.0], [-1.0, 0.0]]
    assert values_of(finished["tflite.0"]) == [[1.0, 0.0], [0.0, 1.0]]
    for name in ("onnx.1", "tflite.1"):
        assert finished[name]["failure"] is None
        assert any(one["name"] == "latency_ns" for one in finished[name]["metrics"])
    failure = finished["drawn.0"]["failure"]
    assert failure["kind"] == "load-error"
    assert failure["message"].startswith("input 'words' takes text, which nobody can draw; give the model a data set")
    assert finished["numbers.0"]["failure"]["message"] == (
        "the dataset has numbers for input 'words', which is string and takes text"
    )


def test_several_inputs_have_an_array_each_and_truth_values_are_truth_values(add_job, add_dataset, run):
    big = 2**40
    rows = {"which": [[True, False], [False, False]], "yes": [[big, big], [1, 1]], "no": [[2, 3], [4, 5]]}
    add_job("named", "onnxruntime", choosing_onnx(), dataset=add_dataset(**rows))
    add_job("drawn", "onnxruntime", choosing_onnx(), inputs={"which": {"low": 0.0, "high": 1.0}})
    add_job("lacking", "onnxruntime", choosing_onnx(), dataset=add_dataset(x=[[1, 2]]))
    add_job("uneven", "onnxruntime", choosing_onnx(), dataset=add_dataset(**dict(rows, no=[[2, 3]])))
    add_job("half", "onnxruntime", choosing_onnx(), dataset=add_dataset(**dict(rows, which=[[0.5, 0], [1, 1]])))
    finished = run()
    assert values_of(finished["named.0"]) == [[float(big), 3.0], [4.0, 5.0]]
    assert finished["named.1"]["failure"] is None
    assert finished["drawn.1"]["failure"] is None
    assert finished["lacking.0"]["failure"]["message"] == (
        "the dataset has 'x', and input 'which' wants an array for each of several inputs, named 'which'"
    )
    assert "different numbers of rows: 'no' 1, 'which' 2, 'yes' 2" in finished["uneven.0"]["failure"]["message"]
    assert "input 'which' is bool, and the dataset has other numbers" in finished["half.0"]["failure"]["message"]
