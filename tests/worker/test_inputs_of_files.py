"""Inputs that model.yaml takes from files, in real models of TensorFlow Lite and ONNX."""

import base64
import io
import struct
import sys

import pytest

from bundles import pack_bundle, read_model
from text_models import choosing_onnx, labelling_onnx
from worker_client import sha256_of, trials_of

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(not (3, 10) <= sys.version_info < (3, 12), reason="not both runtimes have a wheel"),
]
PACKAGES = {"tflite": ["tflite-runtime==2.14.0", "numpy<2"], "onnxruntime": ["onnxruntime==1.20.1"]}
MODULES = {"tflite": "tflite_runtime.interpreter", "onnxruntime": "onnxruntime"}
DRAWN = {"low": 0.0, "high": 9.0}
IMAGE = {"shape": [1, 8, 8, 1], "dtype": "float32"}


@pytest.fixture(scope="session")
def bundles(tmp_path_factory):
    """A zip of each runtime, by engine."""
    return {engine: pack_bundle(tmp_path_factory.mktemp(engine), packages) for engine, packages in PACKAGES.items()}


@pytest.fixture
def add_job(plans, bundles):
    """A function that adds a job of a model for an engine, a preflight and a timed trial."""

    def add(name, engine, model, settings=None, **fields):
        job = {
            "engine": engine,
            "module": MODULES[engine],
            "settings": dict(settings or {}, threads=1),
            "python_path": [plans.add_blob(bundles[engine], "bundle")],
            "model": plans.add_file(name + ".model", model, "model"),
            "input": DRAWN,
            "accuracy_metric": None,
        }
        plans.add_job(name, **dict(job, **fields))
        plans.add_trials(name, 1, preflight=True)

    return add


@pytest.fixture
def add_array(plans):
    """A function that adds an .npy file, or an .npz of arrays by name, and returns how an input names it."""
    numpy = pytest.importorskip("numpy")

    def add(array=None, **arrays):
        content = io.BytesIO()
        if arrays:
            numpy.savez(content, **{name: numpy.array(rows) for name, rows in arrays.items()})
        else:
            numpy.save(content, numpy.array(array))
        return plans.add_file("input-" + sha256_of(content.getvalue())[:16], content.getvalue(), "input")

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


def test_a_file_gives_the_inputs_of_a_real_image_model_one_by_one_and_in_batches(add_job, add_array, run, plans):
    numpy = pytest.importorskip("numpy")
    with numpy.load(io.BytesIO(read_model("digits-test.npz"))) as data:
        images, labels = data["x"][:6].astype("float64"), data["y"][:6]
    file = add_array(images)
    for engine, model in (("tflite", "digits-fp32.tflite"), ("onnxruntime", "digits-fp32.onnx")):
        add_job(engine, engine, read_model(model), input=dict(IMAGE, file=file))
    batched = {"settings": {"batch": 4}, "input": dict(IMAGE, file=file)}
    add_job("batched", "tflite", read_model("digits-fp32.tflite"), **batched)
    add_job("quantised", "tflite", read_model("digits-int8.tflite"), input=dict(IMAGE, file=add_array(images[:1])))
    finished = run()
    right = [list(scores).index(max(scores)) == label for scores, label in zip(values_of(finished["tflite.0"]), labels)]
    assert right == [True] * 6  # zeros or random numbers in place of the file would be no digits
    for name in ("tflite", "onnxruntime", "batched", "quantised"):
        outputs, first = finished[name + ".0"]["outputs"], values_of(finished[name + ".0"])[0]
        assert outputs["inputs"] == "file"
        assert first.index(max(first)) == labels[0]
        assert any(one["name"] == "latency_ns" for one in finished[name + ".1"]["metrics"])
    assert [len(values_of(finished[name + ".0"])) for name in ("tflite", "quantised")] == [6, 1]
    names = list(finished["tflite.1"]["runtime"]["input_files"].values())
    assert names == [file["sha256"]]
    assert "input_files" in finished["tflite.0"]["runtime"]


def test_text_and_several_inputs_come_from_files_and_the_others_are_drawn(add_job, add_array, run):
    big = 2**40
    words = add_array([["ja", "nein"]])
    both = add_array(yes=[[big, big]], no=[[2, 3]])
    add_job("words", "onnxruntime", labelling_onnx(), inputs={"words": {"file": words}})
    add_job(
        "some",
        "onnxruntime",
        choosing_onnx(),
        inputs={"yes": {"file": both}, "no": {"file": both}, "which": {"low": 0.0, "high": 1.0}},
    )
    finished = run()
    assert values_of(finished["words.0"]) == [[1.0, -1.0]]
    drawn = values_of(finished["some.0"])
    assert len(drawn) == 8  # as many as without files, since one input is drawn
    assert {value for row in drawn for value in row} == {float(big), 2.0, 3.0}
    assert finished["some.1"]["runtime"]["input_files"] == {"no": both["sha256"], "yes": both["sha256"]}
    assert finished["words.1"]["failure"] is None


def test_the_rows_of_a_data_set_come_before_a_file(add_job, add_array, run, plans):
    numpy = pytest.importorskip("numpy")
    content = io.BytesIO()
    numpy.savez(content, which=numpy.array([[True, False]]), yes=numpy.array([[7, 7]]))
    add_job(
        "judged",
        "onnxruntime",
        choosing_onnx(),
        inputs={name: {"file": add_array([[1, 2]])} for name in ("yes", "no")},
        dataset=plans.add_file("inputs.npz", content.getvalue(), "dataset"),
        accuracy_metric="outputs",
    )
    finished = run()
    assert values_of(finished["judged.0"]) == [[7.0, 2.0]]
    assert finished["judged.0"]["outputs"]["inputs"] == "dataset"
    assert list(finished["judged.0"]["runtime"]["input_files"]) == ["no"]


def test_a_data_set_without_a_row_for_any_input_judges_nothing(add_job, add_array, run, plans):
    numpy = pytest.importorskip("numpy")
    content = io.BytesIO()
    numpy.savez(content, images=numpy.zeros((4, 8, 8, 1), "float32"), y=numpy.array([0, 1, 2, 3]))
    add_job(
        "judged",
        "tflite",
        read_model("digits-fp32.tflite"),
        input=dict(IMAGE, file=add_array(numpy.zeros((4, 8, 8, 1), "float32"))),
        dataset=plans.add_file("labels.npz", content.getvalue(), "dataset"),
        accuracy_metric="top1",
    )
    failure = run()["judged.0"]["failure"]
    assert "the data set has an array for no input" in failure["message"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([[1.0, 2.0, 3.0]], "the file of input 'words' is [1, 3], and the input takes [1, 2]"),
        ([[1.0, 2.0]], "the file of input 'words' has numbers for input 'words', which is string and takes text"),
        (b"PK\3\4 is no archive", "the file of input 'words' is no .npy or .npz file of numbers: "),
        (b"", "the file of input 'words' is no .npy or .npz file of numbers: "),
    ],
)
def test_a_file_that_does_not_fit_is_told_before_anything_is_timed(add_job, add_array, run, plans, content, message):
    file = plans.add_file("input-x", content, "input") if isinstance(content, bytes) else add_array(content)
    add_job("odd", "onnxruntime", labelling_onnx(), inputs={"words": {"file": file}})
    finished = run()
    assert finished["odd.0"]["failure"]["kind"] == "load-error"
    assert message in finished["odd.0"]["failure"]["message"]
    assert "odd.1" not in finished
