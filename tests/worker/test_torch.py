"""Real networks in a real PyTorch: the one of Debian, and a current one where an index has a package for CPUs alone."""

import base64
import os
import shutil
import struct
import subprocess
import sys

import pytest

from bundles import read_model
from worker_client import HERE, REPOSITORY, trials_of

SYSTEM_PYTHON = "/usr/bin/python3"
CURRENT = "torch==2.13.0+cpu"
INPUT = {"low": 0.0, "high": 1.0, "shape": [1, 8, 8, 1], "dtype": "float32"}

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.version_info < (3, 11), reason="the worker of these tests runs in Pythons of its own"),
]


def can_import(python):
    done = subprocess.run([python, "-c", "import numpy, torch"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return done.returncode == 0


def models_by(python, folder):
    """Return files that a PyTorch has written, by name."""
    folder.mkdir()
    script, weights = os.path.join(HERE, "torch_models.py"), os.path.join(REPOSITORY, "models/digits/digits-fp32.pt")
    done = subprocess.run([python, script, weights, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.decode()
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="session")
def debian(tmp_path_factory):
    """The Python of Debian with its PyTorch 1.13, and files that it has written."""
    if not os.path.exists(SYSTEM_PYTHON) or not can_import(SYSTEM_PYTHON):
        pytest.skip("the system's Python has no PyTorch: scripts/install-system-packages installs python3-torch")
    return SYSTEM_PYTHON, models_by(SYSTEM_PYTHON, tmp_path_factory.mktemp("debian") / "models")


@pytest.fixture(scope="session")
def current(tmp_path_factory):
    """A Python with a current PyTorch for CPUs alone, and files that it has written.

    The plain package is no choice: it brings the libraries of CUDA.
    """
    uv = shutil.which("uv") or os.path.join(os.path.dirname(sys.executable), "uv")
    folder = tmp_path_factory.mktemp("current")
    python = str(folder / "venv/bin/python")
    # Where pip is told of further places with packages, uv is told as well.
    places = [word for place in os.environ.get("PIP_FIND_LINKS", "").split() for word in ("--find-links", place)]
    steps = [
        [uv, "venv", "--quiet", "--python", sys.executable, str(folder / "venv")],
        [uv, "pip", "install", "--quiet", "--python", python, "--only-binary", ":all:", *places, CURRENT, "numpy"],
    ]
    for step in steps:
        done = subprocess.run(step, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            pytest.skip(f"{CURRENT} cannot be installed here: {done.stdout.decode()[-300:]}")
    yield python, models_by(python, folder / "models")
    shutil.rmtree(str(folder))  # of 0.8 GB


@pytest.fixture
def add_job(plans):
    """A function that adds a job of a file; changes replace what a good job has."""
    plans.plan["measure"].update(warmup_runs_min=5, runs_min=30, seconds_min=0.05)
    plans.plan["limits"]["trial_timeout_s"] = 400.0

    def add(name, file, content, call="jit", trials=0, scored=True, **changes):
        data = {
            "dataset": plans.add_file("digits-test.npz", read_model("digits-test.npz"), "dataset"),
            "accuracy_metric": "top1",
        }
        fields = {
            "engine": "torch",
            "module": "torch",
            "settings": {"threads": 1, "call": call},
            "model": plans.add_file(file, content, "model"),
            "input": INPUT,
        }
        fields.update(data if scored else {})
        fields.update(changes)
        plans.add_job(name, **fields)
        return plans.add_trials(name, trials, preflight=True)

    return add


@pytest.fixture
def run(connect, plans):
    """A function that runs the plan by a Python, and returns its finished trials by name."""

    def run_plan(python):
        events = connect(python=python).execute("run-1", plans)
        assert events[-1]["outcome"] == "complete"
        return {event["trial"]: event for event in trials_of(events)}

    return run_plan


def floats_of(finished):
    data = base64.b64decode(finished["outputs"]["data"])
    return struct.unpack("<" + str(len(data) // 4) + "f", data)


def top1_of(finished):
    assert finished["failure"] is None, finished["failure"]
    metrics = {metric["name"]: metric for metric in finished["metrics"]}
    return metrics["accuracy_top1"]["value"]


def message_of(finished):
    assert finished["failure"]["kind"] == "load-error", finished["failure"]
    return finished["failure"]["message"]


def test_debians_pytorch_runs_torchscript_and_says_what_it_cannot(debian, plans, add_job, run):
    python, models = debian
    script = read_model("digits-fp32.pt")
    add_job("good", "digits.pt", script, trials=1)
    add_job("traced", "traced.pt", models["traced.pt"])
    add_job("batch", "digits.pt", script, settings={"threads": 1, "call": "jit", "batch": 4})
    plain = {"scored": False}
    add_job("shapeless", "digits.pt", script, input={"low": 0.0, "high": 1.0}, **plain)
    add_job("misfit", "digits.pt", script, input=dict(INPUT, shape=[1, 7, 8, 1]), **plain)
    add_job("state", "state.pt", models["state.pt"], **plain)
    add_job("text", "text.pt", models["text.pt"], **plain)
    add_job("nonsense", "no.pt", b"no archive", **plain)
    add_job("export", "digits.pt2", b"", "eager", **plain)
    add_job("call", "digits.pt", script, "predict", **plain)
    add_job("gpu", "digits.pt", script, settings={"threads": 1, "call": "jit", "provider": "cuda"}, **plain)
    add_job("tpu", "digits.pt", script, settings={"threads": 1, "call": "jit", "provider": "tpu"}, **plain)
    plans.plan["trials"].append({"trial": "good.profile", "job": "good", "kind": "profile", "index": 0})
    finished = run(python)
    for name in ("good.0", "traced.0", "batch.0"):
        assert top1_of(finished[name]) == pytest.approx(0.9833, abs=1e-4), name
    assert floats_of(finished["good.0"]) == pytest.approx(floats_of(finished["traced.0"]), abs=1e-5)
    told = finished["good.1"]["runtime"]
    assert (told["name"], told["call"], told["precision"], told["provider"]) == ("torch", "jit", "f32", "cpu")
    assert told["version"].startswith("1.13")
    assert told["inference_mode"] is True
    assert (told["input_dtypes"], told["output_dtypes"], told["weight_dtypes"]) == (["float32"],) * 3
    profile = finished["good.profile"]["profile"]
    assert finished["good.profile"]["failure"] is None
    operators = {one["operator"]: one for one in profile["operators"]}
    assert {"addmm", "_softmax"} <= set(operators)
    assert operators["_softmax"]["calls"] == profile["runs"]
    assert sum(one["share"] for one in profile["operators"]) == pytest.approx(1)
    assert "addmm 32 1x128 128x32" in {one["name"] for one in profile["operators"]}
    words = {
        "shapeless": "'image' has any number of dimensions in the file; declare input.shape",
        "state": "does not load this as TorchScript",
        "text": "forward takes 'names', a List[str], and this worker gives tensors alone",
        "nonsense": "does not load this as TorchScript",
        "export": "reads no file of torch.export, as call: eager wants; 2.1 is the first release that does",
        "call": "the setting call: of torch is one of jit, eager, compile; not 'predict'",
        "gpu": "provider: cuda is asked for, and this torch is built without CUDA",
        "tpu": "the setting provider: of torch is one of cpu, cuda; not 'tpu'",
    }
    for name, expected in words.items():
        assert expected in message_of(finished[name + ".0"]), name
    assert finished["misfit.0"]["failure"] is not None


def test_a_current_pytorch_runs_graphs_eagerly_and_compiled(current, plans, add_job, run):
    python, models = current
    add_job("jit", "digits.pt", read_model("digits-fp32.pt"))
    add_job("eager", "digits.pt2", models["digits.pt2"], "eager")
    add_job("open", "open.pt2", models["open.pt2"], "eager", settings={"threads": 1, "call": "eager", "batch": 4})
    plain = {"scored": False}
    summing = {"input": {"low": 1.0, "high": 1.0000001, "shape": [1, 2], "dtype": "float32"}, **plain}
    add_job("reset", "sum.pt2", models["sum.pt2"], "eager", state="reset", **summing)
    odd = {"rows": {"low": 0, "high": 5, "shape": [1, 3], "dtype": "int32"}}
    add_job("odd", "odd.pt2", models["odd.pt2"], "eager", input={"low": 0.0, "high": 1.0}, inputs=odd, **plain)
    add_job("other", "digits.pt2", models["digits.pt2"], "eager", input=dict(INPUT, shape=[1, 1, 8, 8]), **plain)
    add_job("script", "digits.pt", read_model("digits-fp32.pt"), "eager", **plain)
    plans.plan["trials"].append({"trial": "eager.profile", "job": "eager", "kind": "profile", "index": 0})
    add_job("compile", "digits.pt2", models["digits.pt2"], "compile")
    finished = run(python)
    for name in ("jit.0", "eager.0", "open.0"):
        assert top1_of(finished[name]) == pytest.approx(0.9833, abs=1e-4), name
    assert floats_of(finished["eager.0"]) == pytest.approx(floats_of(finished["jit.0"]), abs=1e-5)
    told = finished["eager.0"]["runtime"]
    assert (told["version"], told["call"], told["input_dtypes"]) == ("2.13.0+cpu", "eager", ["float32"])
    assert (told["operators"], told["inference_mode"]) == (13, True)
    assert [round(value) for value in floats_of(finished["reset.0"])] == [1] * 16
    assert finished["reset.0"]["runtime"]["state"] == {"policy": "reset", "variables": ["sum"], "fed_back": {}}
    assert finished["odd.0"]["failure"] is None, finished["odd.0"]["failure"]
    odd_told = finished["odd.0"]["runtime"]
    assert odd_told["input_dtypes"] == ["int32", "bfloat16"]
    assert odd_told["output_dtypes"] == ["bfloat16", "int32", "bfloat16"]
    assert "conv2d" in {one["operator"] for one in finished["eager.profile"]["profile"]["operators"]}
    words = {
        "other": "'image' is [1, 8, 8, 1] in the file, and model.yaml",
        "script": "does not load this as a file of torch.export",
    }
    for name, expected in words.items():
        assert expected in message_of(finished[name + ".0"]), name
    if shutil.which("g++") is None:
        assert "needs a C++ compiler" in message_of(finished["compile.0"])
        return
    assert top1_of(finished["compile.0"]) == pytest.approx(0.9833, abs=1e-4)
    assert floats_of(finished["compile.0"]) == pytest.approx(floats_of(finished["eager.0"]), abs=1e-5)
    compiled = finished["compile.0"]["runtime"]
    assert (compiled["compiled_graphs"], compiled["inference_mode"]) == (1, True)


def test_a_device_without_a_compiler_says_so(current, tmp_path, plans, add_job, connect):
    python, models = current
    add_job("compile", "digits.pt2", models["digits.pt2"], "compile", scored=False)
    empty = tmp_path / "empty"
    empty.mkdir()
    device = connect(python=python, environment={"PATH": str(empty), "CXX": ""})
    events = device.execute("run-1", plans)
    (finished,) = trials_of(events)
    assert "on a CPU it needs a C++ compiler on the device" in message_of(finished)
