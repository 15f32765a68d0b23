"""A real model in a real OpenVINO, shipped as a bundle; skipped where no package index can be reached."""

import base64
import struct
import sys

import pytest

from bundles import pack_bundle, read_model
from odd_models import scaled_onnx
from stateful_models import summing_openvino
from worker_client import trials_of

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.version_info < (3, 10), reason="this OpenVINO has no wheel for this Python"),
]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """A zip of the runtime and what it imports."""
    return pack_bundle(tmp_path_factory.mktemp("openvino"), ["openvino==2026.4.1"])


@pytest.fixture
def add_job(plans, bundle):
    """A function that adds a job of the digits model; changes replace what a good job has."""
    packages = plans.add_blob(bundle, "bundle")

    def add(name, file="digits-fp32.onnx", trials=0, **changes):
        fields = {
            "engine": "openvino",
            "module": "openvino",
            "settings": {"threads": 1},
            "python_path": [packages],
            "model": plans.add_file(file, read_model(file), "model"),
            "input": {"low": 0.0, "high": 1.0, "shape": [1, 8, 8, 1], "dtype": "float32"},
            "dataset": plans.add_file("digits-test.npz", read_model("digits-test.npz"), "dataset"),
            "accuracy_metric": "top1",
        }
        fields.update(changes)
        plans.add_job(name, **fields)
        return plans.add_trials(name, trials, preflight=True)

    return add


def floats_of(finished):
    data = base64.b64decode(finished["outputs"]["data"])
    return struct.unpack("<" + str(len(data) // 4) + "f", data)


def test_models_of_both_formats_are_proved_measured_and_profiled(device, plans, add_job):
    """One run, since a bundle of this size takes long to unpack."""
    plans.plan["measure"].update(warmup_runs_min=5, runs_min=50, seconds_min=0.05)
    plans.plan["limits"]["trial_timeout_s"] = 120.0
    add_job("onnx", trials=1)
    add_job("tflite", "digits-fp32.tflite")
    add_job("fp16", "digits-fp16.tflite")
    add_job("int8", "digits-int8.tflite")
    add_job("batch", "digits-fp32.tflite", settings={"threads": 1, "batch": 4})
    add_job("wrong", settings={"threads": 1, "precision": "f8"})
    shape = {"low": 0.0, "high": 1.0, "shape": [1, 1, 8, 8], "dtype": "float32"}
    add_job("shape", input=shape, dataset=None, accuracy_metric=None)
    without = {
        "dataset": None,
        "accuracy_metric": None,
        "model": plans.add_file("any.onnx", scaled_onnx(None), "model"),
    }
    add_job("any-rank", input=dict(shape, shape=[2, 3, 4]), **without)
    add_job("open-rank", input={"low": 0.0, "high": 1.0}, **without)
    summing = {
        "dataset": None,
        "accuracy_metric": None,
        "model": plans.add_file("sum.zip", summing_openvino(), "model"),
        "input": {"low": 1.0, "high": 1.0000001, "shape": [1, 2], "dtype": "float32"},
    }
    add_job("kept", **summing)
    add_job("reset", state="reset", **summing)
    plans.plan["trials"].append({"trial": "onnx.profile", "job": "onnx", "kind": "profile", "index": 0})
    events = device.execute("run-1", plans)
    assert events[-1]["outcome"] == "complete"
    finished = {event["trial"]: event for event in trials_of(events)}
    assert [round(value) for value in floats_of(finished["kept.0"])[::2]] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [round(value) for value in floats_of(finished["reset.0"])] == [1] * 16
    assert finished["reset.0"]["runtime"]["state"] == {"policy": "reset", "variables": ["sum"], "fed_back": {}}
    good = ("onnx.0", "onnx.1", "onnx.profile", "tflite.0", "fp16.0", "batch.0")
    assert {name: finished[name]["failure"] for name in good} == dict.fromkeys(good)
    for name in ("onnx.0", "tflite.0", "fp16.0", "batch.0"):
        metrics = {metric["name"]: metric for metric in finished[name]["metrics"]}
        assert metrics["accuracy_top1"]["value"] == pytest.approx(0.9833, abs=1e-4), name
    assert floats_of(finished["onnx.0"]) == pytest.approx(floats_of(finished["tflite.0"]), abs=1e-4)
    told = finished["onnx.1"]["runtime"]
    assert (told["name"], told["version"].startswith("2026.4.1"), told["precision"]) == ("openvino", True, "f32")
    assert "f32" in told["kernels"]
    assert "bf16" not in told["kernels"]
    profile = finished["onnx.profile"]["profile"]
    assert "Convolution" in {one["operator"] for one in profile["operators"]}
    assert sum(one["share"] for one in profile["operators"]) == pytest.approx(1)
    # The scale of an int8 input is lost on the way into OpenVINO: a wrong figure is worse than none.
    assert {name: finished[name + ".0"]["failure"]["kind"] for name in ("int8", "wrong", "shape")} == {
        "int8": "load-error",
        "wrong": "load-error",
        "shape": "load-error",
    }
    assert finished["any-rank.0"]["failure"] is None
    assert finished["any-rank.0"]["outputs"]["layout"][0]["shape"] == [2, 3, 4]
    assert "'x' has any number of dimensions in the file" in finished["open-rank.0"]["failure"]["message"]
    assert "loses the scale of the quantised input" in finished["int8.0"]["failure"]["message"]
    assert "precision: is one of f32, bf16, f16; not 'f8'" in finished["wrong.0"]["failure"]["message"]
    assert "'image' is [1, 8, 8, 1] in the file, and model.yaml" in finished["shape.0"]["failure"]["message"]
