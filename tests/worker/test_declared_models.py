"""Real models whose files leave open, contradict or reorder what is declared, in real runtimes of bundles."""

import base64
import gzip
import io
import struct
import sys

import pytest

from bundles import pack_bundle
from device_worker.protocol.samples import decode_block
from odd_models import (
    behind_relu_onnx,
    classifier_onnx,
    doubling_onnx,
    doubling_tflite,
    scaled_onnx,
    two_headed_onnx,
    unloadable_onnx,
    wide_numbers_onnx,
)
from worker_client import trials_of

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(not (3, 10) <= sys.version_info < (3, 12), reason="not both runtimes have a wheel"),
]
PACKAGES = {"tflite": ["tflite-runtime==2.14.0", "numpy<2"], "onnxruntime": ["onnxruntime==1.20.1"]}
MODULES = {"tflite": "tflite_runtime.interpreter", "onnxruntime": "onnxruntime"}
IMAGE = {"low": 0.0, "high": 1.0, "shape": [1, 32, 32, 3], "dtype": "float32"}


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
    data = base64.b64decode(finished["outputs"]["data"])
    return struct.unpack("<%df" % (len(data) // 4), data)


def image_models(shape, signature):
    sizes = [None if size < 0 else size for size in signature]
    return {
        "tflite": doubling_tflite("x", shape, signature, "float32"),
        "onnxruntime": doubling_onnx([("x", sizes, "float")]),
    }


def test_open_sizes_are_the_declared_ones(add_job, run):
    for engine, model in image_models([1, 1, 1, 3], [1, -1, -1, 3]).items():
        add_job(engine, engine, model, input=IMAGE)
    finished = run()
    for engine in PACKAGES:
        assert finished[engine + ".0"]["outputs"]["values_per_output"] == 32 * 32 * 3
        assert 1.5 < max(values_of(finished[engine + ".0"])) < 2
        assert finished[engine + ".1"]["failure"] is None


def test_open_sizes_that_nobody_declares_are_not_timed(add_job, run):
    for engine, model in image_models([1, 1, 1, 3], [1, -1, -1, 3]).items():
        add_job(engine, engine, model, input={"low": 0.0, "high": 1.0})
    finished = run()
    assert set(finished) == {"tflite.0", "onnxruntime.0"}
    for event in finished.values():
        assert event["failure"]["kind"] == "load-error"
        assert "'x' has open sizes in the file: [1, ?, ?, 3]; declare input.shape" in event["failure"]["message"]


def test_a_declaration_that_contradicts_the_file_is_refused_with_both(add_job, run):
    for engine, model in image_models([1, 8, 8, 3], [1, 8, 8, 3]).items():
        add_job(engine + "-shape", engine, model, input=IMAGE)
        add_job(engine + "-dtype", engine, model, input=dict(IMAGE, shape=[1, 8, 8, 3], dtype="int32"))
        add_job(engine + "-right", engine, model, input=dict(IMAGE, shape=[1, 8, 8, 3], dtype="float16"))
    finished = run()
    for engine in PACKAGES:
        wrong = [finished["%s-%s.0" % (engine, what)]["failure"] for what in ("shape", "dtype")]
        assert [failure["kind"] for failure in wrong] == ["load-error"] * 2
        assert "'x' is [1, 8, 8, 3] in the file, and model.yaml declares [1, 32, 32, 3]" in wrong[0]["message"]
        assert "'x' is float32 in the file, and model.yaml declares int32" in wrong[1]["message"]
        assert finished[engine + "-right.1"]["failure"] is None
        assert engine + "-shape.1" not in finished


def test_whole_numbers_are_drawn_from_the_whole_declared_range(add_job, run):
    flags = {"low": 0.0, "high": 1.0, "shape": [1, 64], "dtype": "int32"}
    add_job("flags", "tflite", doubling_tflite("x", [1, 64], [1, 64], "int32"), input=flags)
    words = dict(flags, high=1000.0)
    model = doubling_onnx([("word", [1, 64], "int32"), ("mask", [1, 64], "int32"), ("scale", [], "float")])
    scale = {"low": 3.0, "high": 4.0, "shape": [], "dtype": "float32"}
    add_job("both", "onnxruntime", model, input=words, inputs={"mask": flags, "scale": scale})
    add_job("none", "tflite", doubling_tflite("x", [], [], "float32"), input=scale)
    finished = run()
    assert set(values_of(finished["flags.0"])) == {0.0, 2.0}
    values = values_of(finished["both.0"])
    rows = [values[start : start + 129] for start in range(0, len(values), 129)]
    assert all(6 <= row[0] < 8 for row in rows)  # sorted by shape: the single number comes first
    words_drawn = {value / 2 for row in rows for value in row[1:65]}
    assert words_drawn <= set(map(float, range(1000)))
    assert len(words_drawn) > 300
    assert {value for row in rows for value in row[65:]} == {0.0, 2.0}
    assert all(6 <= value < 8 for value in values_of(finished["none.0"]))


def test_an_input_that_nothing_can_be_drawn_for_is_told(add_job, run):
    x = {"low": 0.0, "high": 1.0, "shape": [1, 8], "dtype": "float32"}
    add_job("given", "onnxruntime", scaled_onnx([1, 8]), input=x, inputs={"factor": dict(x, shape=[1]), "x": x})
    add_job("right", "onnxruntime", scaled_onnx([1, 8]), input=x)
    finished = run()
    assert "declares an input 'factor', for which the file has a value" in finished["given.0"]["failure"]["message"]
    assert 2 < max(values_of(finished["right.0"])) < 3


def test_an_input_of_any_number_of_dimensions_takes_the_declared_ones(add_job, run):
    plain = {"low": 0.0, "high": 1.0}
    x = dict(plain, shape=[2, 3, 4], dtype="float32")
    add_job("declared", "onnxruntime", scaled_onnx(None), input=plain, inputs={"x": x})
    add_job("batched", "onnxruntime", scaled_onnx(None), input=dict(x, shape=[1, 8]), settings={"batch": 4})
    add_job("number", "onnxruntime", scaled_onnx(None), input=dict(x, shape=[]))
    add_job("open", "onnxruntime", scaled_onnx(None), input=plain)
    add_job("scalar", "onnxruntime", scaled_onnx([]), input=plain)
    add_job("scalar-as-row", "onnxruntime", scaled_onnx([]), input=dict(x, shape=[1, 8]))
    finished = run()
    assert [finished[name + ".1"]["failure"] for name in ("declared", "batched", "number", "scalar")] == [None] * 4
    assert finished["declared.0"]["outputs"]["layout"][0]["shape"] == [2, 3, 4]
    assert 2 < max(values_of(finished["declared.0"])) < 3
    assert (finished["batched.0"]["outputs"]["count"], finished["batched.0"]["outputs"]["values_per_output"]) == (8, 8)
    assert finished["number.0"]["outputs"]["values_per_output"] == 1
    failures = {name: finished[name + ".0"]["failure"]["message"] for name in ("open", "scalar-as-row")}
    assert failures["open"] == (
        "input 'x' has any number of dimensions in the file; declare input.shape in model.yaml, "
        "or the shape of this input by its name under inputs, and run the sweep anew"
    )
    assert "input 'x' is [] in the file, and model.yaml declares [1, 8]" in failures["scalar-as-row"]


def two_headed_jobs(plans, add_job, **fields):
    """Add the same network with its outputs in either order, and a data set that the network labels."""
    numpy = pytest.importorskip("numpy")
    rows = numpy.random.RandomState(2).randn(40, 8).astype("float32")
    for name, order in (("one", ["classes", "features"]), ("other", ["features", "classes"])):
        model, weights = two_headed_onnx(order)
        packed = io.BytesIO()
        numpy.savez(packed, x=rows, y=(rows @ weights).argmax(axis=1))
        dataset = plans.add_file("labelled.npz", packed.getvalue(), "dataset")
        add_job(name, "onnxruntime", model, dataset=dataset, **fields)


def test_accuracy_is_about_the_declared_output_in_any_order(plans, add_job, run):
    two_headed_jobs(plans, add_job, accuracy_metric="top1", output={"name": None, "shape": [1, 10]})
    finished = run()
    for name in ("one.0", "other.0"):
        assert finished[name]["failure"] is None
        top1 = [metric["value"] for metric in finished[name]["metrics"] if metric["name"] == "accuracy_top1"]
        assert top1 == [1.0]
        assert finished[name]["outputs"]["values_per_output"] == 10
    one, other = (dict(finished[name]["outputs"]) for name in ("one.0", "other.0"))
    # Only the converter's name for the output's position differs.
    assert [layout.pop("layout")[0]["name"] for layout in (one, other)] == ["output-0", "output-1"]
    assert one == other


def test_accuracy_of_one_of_several_outputs_is_not_guessed(plans, add_job, run):
    two_headed_jobs(plans, add_job, accuracy_metric="top1")
    finished = run()
    assert {event["failure"] for event in finished.values()} == {None}, "timing needs no accuracy"
    assert set(finished) == {"one.0", "one.1", "other.0", "other.1"}
    for name in ("one.0", "other.0"):
        (accuracy,) = [metric for metric in finished[name]["metrics"] if metric["name"] == "accuracy_top1"]
        assert (accuracy["value"], accuracy["reason"]) == (None, finished[name]["outputs"]["reason"])
        assert finished[name]["input_results"] is None
        assert "top1 of which output?" in finished[name]["outputs"]["reason"]
    assert "'output-0' [1, 16], 'output-1' [1, 10]" in finished["other.0"]["outputs"]["reason"]


UNREAD = "the runtime cannot read the outputs: numpy has no numbers such as those of output 'y', a tensor("
STRANGE = {
    "strings": ("Cast", {"to": 8}, "string", "output 'y' is of strings, not of real numbers"),
    "rows": ("NonZero", {}, "int64", "the number of output values varies: "),
    "bfloat16": ("Cast", {"to": 16}, "bfloat16", UNREAD),
    "float8": (
        "Cast",
        {"to": 17},
        "float8e4m3fn",
        UNREAD,
    ),
    "empty": ("NonZero", {}, "int64", "an output is empty"),
}


@pytest.mark.parametrize("kind", sorted(STRANGE))
def test_what_cannot_be_compared_is_timed_and_the_proof_is_left_out_with_the_reason(add_job, run, kind):
    operator, attributes, dtype, reason = STRANGE[kind]
    # Half of the numbers below zero become zero, all of them where the range ends there.
    drawn = {"low": -1.0, "high": 0.0 if kind == "empty" else 1.0, "shape": [1, 8], "dtype": "float32"}
    add_job("odd", "onnxruntime", behind_relu_onnx(operator, attributes, dtype), input=drawn)
    finished = run()
    assert finished["odd.0"]["failure"] is None
    outputs = finished["odd.0"]["outputs"]
    assert outputs["reason"].startswith(reason)
    assert (outputs["count"], outputs["data"], outputs["top1"]) == (0, "", [])
    assert finished["odd.1"]["failure"] is None
    assert "latency_ns" in [metric["name"] for metric in finished["odd.1"]["metrics"]]


def test_outputs_in_another_order_are_kept_in_one_order(plans, add_job, run):
    two_headed_jobs(plans, add_job)
    finished = run()
    assert values_of(finished["one.0"]) == values_of(finished["other.0"])
    assert finished["one.0"]["outputs"]["values_per_output"] == 26


@pytest.mark.parametrize("engine", ["tflite", "onnxruntime"])
def test_a_batch_is_invoked_at_once_and_proved_item_by_item(plans, add_job, run, engine):
    """20 rows are no multiple of 7: behind the last row the first ones come again, and count for nothing."""
    if engine == "tflite":
        model = doubling_tflite("x", [1, 10], [1, 10], "float32")
    else:
        model = doubling_onnx([("x", [None, 10], "float")])
    numpy = pytest.importorskip("numpy")
    rows = numpy.random.RandomState(3).rand(20, 10).astype("float32")
    packed = io.BytesIO()
    numpy.savez(packed, x=rows, y=rows.argmax(axis=1))
    dataset = plans.add_file("rows.npz", packed.getvalue(), "dataset")
    for name, settings in (("one", {}), ("seven", {"batch": 7})):
        settings = dict(settings, threads=1)
        add_job(name, engine, model, settings=settings, dataset=dataset, accuracy_metric="top1")
    finished = run()
    for name in ("one.0", "seven.0"):
        outputs = struct.unpack("<200f", base64.b64decode(finished[name]["outputs"]["data"]))
        assert outputs == pytest.approx((2 * rows).ravel().tolist())
        metrics = {metric["name"]: metric for metric in finished[name]["metrics"]}
        assert metrics["accuracy_top1"]["value"] == 1.0
        assert finished[name]["input_results"]["count"] == 20
    measured = {metric["name"]: metric for metric in finished["seven.1"]["metrics"]}
    samples = decode_block(measured["latency_ns"]["samples"])
    assert measured["throughput_items_per_s"]["value"] == pytest.approx(7e9 * len(samples) / sum(samples), rel=0.02)
    assert "throughput_items_per_s" not in {metric["name"] for metric in finished["one.1"]["metrics"]}


ROWS = {"low": 0.0, "high": 4.0, "shape": [1, 4], "dtype": "float32"}


def test_numbers_that_float32_does_not_hold_choose_no_class(plans, add_job, run):
    numpy = pytest.importorskip("numpy")
    packed = io.BytesIO()
    rows = numpy.argsort(numpy.random.RandomState(3).rand(20, 4), axis=1)
    numpy.savez(packed, x=rows.astype("float32"), y=rows.argmax(axis=1))
    dataset = plans.add_file("labelled.npz", packed.getvalue(), "dataset")
    asked = {"input": ROWS, "dataset": dataset, "accuracy_metric": "top1"}
    add_job("beyond", "onnxruntime", wide_numbers_onnx("float64", 1e300), **asked)
    add_job("alike", "onnxruntime", wide_numbers_onnx("int64", 2**60), **asked)
    add_job("small", "onnxruntime", wide_numbers_onnx("float64", 2.0), **asked)
    add_job("exact", "onnxruntime", wide_numbers_onnx("int64", 2**20), **asked)
    finished = run()
    assert [event["failure"] for event in finished.values()] == [None] * 8, "timed all the same"
    accuracy = {
        name: next(one for one in event["metrics"] if one["name"] == "accuracy_top1")
        for name, event in finished.items()
        if name.endswith(".0")
    }
    assert (accuracy["small.0"]["value"], accuracy["exact.0"]["value"]) == (1.0, 1.0)
    assert (accuracy["beyond.0"]["value"], accuracy["alike.0"]["value"]) == (None, None)
    assert accuracy["beyond.0"]["reason"] == "output 'y' is float64, with numbers beyond those of float32"
    assert accuracy["alike.0"]["reason"] == "output 'y' is int64, with whole numbers that float32 cannot tell apart"


def test_a_declared_output_is_kept_beside_one_that_is_no_array(add_job, run):
    add_job("declared", "onnxruntime", classifier_onnx(), input=ROWS, output={"name": "label", "shape": [1]})
    add_job("all", "onnxruntime", classifier_onnx(), input=ROWS)
    finished = run()
    assert set(values_of(finished["declared.0"])) <= {0.0, 1.0, 2.0, 3.0}
    assert finished["declared.0"]["outputs"]["count"] == 8
    assert finished["all.0"]["outputs"]["reason"] == "output 'probabilities' is no array: a list"
    assert finished["all.1"]["failure"] is None


def test_what_a_file_is_comes_before_what_the_parser_says(add_job, run):
    files = {
        "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull"),
        "page": (b"<!DOCTYPE html>\n<html><title>Sign in</title></html>", "a page of HTML"),
        "packed": (gzip.compress(b"TFL3" * 50), "packed by gzip"),
        "empty": (b"", "is empty"),
    }
    for name, (content, _) in files.items():
        for engine in PACKAGES:
            add_job(f"{name}-{engine}", engine, content, input=ROWS)
    add_job("outside", "onnxruntime", unloadable_onnx(is_outside=True), input=ROWS)
    add_job("future", "onnxruntime", unloadable_onnx(opset=99), input=ROWS)
    finished = run()
    said = {name[:-2]: event["failure"]["message"] for name, event in finished.items()}
    assert {event["failure"]["kind"] for event in finished.values()} == {"load-error"}
    for name, (_, words) in files.items():
        for engine in PACKAGES:
            assert words in said[f"{name}-{engine}"].partition(" (")[0]
    assert said["outside"].startswith("the weights lie in a further file, 'model.onnx.data', which is not shipped")
    assert "Current official support for domain ai.onnx is till opset 21" in said["future"], "not cut off before"
