"""Delegates with options, a fake EdgeTPU, and signatures, in a real TensorFlow Lite."""

import base64
import os
import shutil
import struct
import subprocess
import sys

import pytest

from bundles import pack_bundle, read_model
from odd_models import edgetpu_tflite
from worker_client import trials_of

PACKAGES = ["tflite-runtime==2.11.0"] if sys.version_info < (3, 8) else ["tflite-runtime==2.14.0", "numpy<2"]

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.version_info >= (3, 12), reason="tflite-runtime has no wheel for this Python"),
]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """A zip of the runtime and its numpy."""
    return pack_bundle(tmp_path_factory.mktemp("bundle"), PACKAGES)


@pytest.fixture(scope="session")
def fake_edgetpu(tmp_path_factory):
    """The path of a library with the name of the EdgeTPU's: a real delegate that copies (delegate.c)."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler builds the delegate")
    library = str(tmp_path_factory.mktemp("delegate") / "libedgetpu.so.1")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "delegate.c")
    subprocess.check_call([compiler, "-shared", "-fPIC", "-O2", "-o", library, source])
    return library


@pytest.fixture
def add_job(plans, bundle):
    """A function that adds a job of a .tflite file without a data set."""

    def add(name, content, settings, trials=0, **changes):
        fields = {
            "engine": "tflite",
            "module": "tflite_runtime.interpreter",
            "variant": "fp32",
            "settings": dict({"threads": 1}, **settings),
            "python_path": [plans.add_blob(bundle, "bundle")],
            "model": plans.add_file(name + ".tflite", content, "model"),
            "input": {"low": 0.0, "high": 1.0},
        }
        fields.update(changes)
        plans.add_job(name, **fields)
        return plans.add_trials(name, trials, preflight=True)

    return add


@pytest.fixture
def run(device, plans):
    """A function that runs the plan and returns its finished trials by name."""

    def run_plan():
        plans.plan["limits"]["trial_timeout_s"] = 60.0
        plans.plan["measure"].update(warmup_runs_min=1, runs_min=10, seconds_min=0.01)
        events = device.execute("run-1", plans)
        assert events[-1]["outcome"] == "complete"
        return {event["trial"]: event for event in trials_of(events)}

    return run_plan


def metrics_of(finished):
    return {metric["name"]: metric for metric in finished["metrics"]}


def floats_of(finished):
    data = base64.b64decode(finished["outputs"]["data"])
    return struct.unpack("<" + str(len(data) // 4) + "f", data)


def test_a_model_compiled_for_the_edgetpu_runs_on_its_library_alone(add_job, run, fake_edgetpu):
    compiled = edgetpu_tflite()
    add_job("there", compiled, {"delegate": fake_edgetpu}, trials=1)
    add_job("nowhere", compiled, {})
    finished = run()
    assert finished["there.1"]["failure"] is None
    assert finished["there.1"]["runtime"]["nodes_by_place"] == {fake_edgetpu: 1, "XNNPACK": 0, "interpreter": 0}
    assert metrics_of(finished["there.1"])["delegated_nodes_ratio"]["value"] == 1
    # The library copies: what goes in comes out, and random inputs lie between 0 and 1.
    assert all(0 <= value < 1 for value in floats_of(finished["there.0"]))
    assert any(floats_of(finished["there.0"]))
    assert finished["nowhere.0"]["failure"]["kind"] == "load-error"
    assert "edgetpu-custom-op" in finished["nowhere.0"]["failure"]["message"]


def test_options_reach_the_library(add_job, run, fake_edgetpu):
    digits, asked = read_model("digits-fp32.tflite"), {"delegate": fake_edgetpu}
    allowed = {"nodes_min": 1.0, "allow_fallback": True}
    add_job("plain", digits, asked, delegation=allowed)
    add_job("nothing", digits, dict(asked, delegate_options="take=nothing"), delegation=allowed)
    add_job("wrong", digits, dict(asked, delegate_options="speed=high"), delegation=allowed)
    add_job("form", digits, dict(asked, delegate_options="fast"), delegation=allowed)
    add_job("alone", digits, {"delegate_options": "take=nothing"})
    finished = run()
    taken = {name: finished[name]["runtime"]["nodes_by_place"][fake_edgetpu] for name in ("plain.0", "nothing.0")}
    assert taken == {"plain.0": 1, "nothing.0": 0}
    assert finished["nothing.0"]["runtime"]["delegate_options"] == "take=nothing"
    messages = {name: finished[name]["failure"]["message"] for name in ("wrong.0", "form.0", "alone.0")}
    assert "this delegate knows the option take=nothing alone" in messages["wrong.0"]
    assert "'fast' is no option; write KEY=VALUE" in messages["form.0"]
    assert "of a delegate that is a library" in messages["alone.0"]


def test_a_signature_computes_what_its_file_computes(add_job, run):
    digits = read_model("digits-fp32.tflite")
    add_job("file", digits, {}, trials=1)
    add_job("signature", digits, {"signature": "serving_default"}, trials=1)
    add_job("batch", digits, {"signature": "serving_default", "batch": 4}, trials=1)
    add_job("unknown", digits, {"signature": "train"})
    finished = run()
    assert {finished[name]["failure"] for name in ("signature.0", "signature.1", "batch.0", "batch.1")} == {None}
    assert floats_of(finished["signature.0"]) == pytest.approx(floats_of(finished["file.0"]), abs=1e-6)
    assert floats_of(finished["batch.0"]) == pytest.approx(floats_of(finished["file.0"]), abs=1e-6)
    assert finished["signature.1"]["runtime"]["signature"] == "serving_default"
    assert metrics_of(finished["signature.1"])["nodes"]["reason"]
    assert "no signature 'train'; it has 'serving_default'" in finished["unknown.0"]["failure"]["message"]
