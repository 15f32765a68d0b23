"""A real model in a real ONNX Runtime, shipped as a bundle; skipped where no package index can be reached."""

import base64
import os
import struct
import sys

import pytest

from bundles import pack_bundle, read_model
from odd_models import doubling_onnx
from worker_client import trials_of

PACKAGE = "onnxruntime==1.14.1" if sys.version_info < (3, 8) else "onnxruntime==1.20.1"
TFLITE = ["tflite-runtime==2.11.0"] if sys.version_info < (3, 8) else ["tflite-runtime==2.14.0", "numpy<2"]

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif((3, 8) <= sys.version_info < (3, 10), reason="this onnxruntime has no wheel for this Python"),
]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """A zip of the runtime and what it imports."""
    return pack_bundle(tmp_path_factory.mktemp("onnxruntime"), [PACKAGE])


@pytest.fixture
def add_job(plans, bundle):
    """A function that adds a job of the digits model; changes replace what a good job has."""

    def add(name, trials=0, **changes):
        fields = {
            "engine": "onnxruntime",
            "module": "onnxruntime",
            "variant": "fp32",
            "settings": {"threads": 1},
            "python_path": [plans.add_blob(bundle, "bundle")],
            "model": plans.add_file("digits-fp32.onnx", read_model("digits-fp32.onnx"), "model"),
            "input": {"low": 0.0, "high": 1.0},
            "dataset": plans.add_file("digits-test.npz", read_model("digits-test.npz"), "dataset"),
            "accuracy_metric": "top1",
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
        events = device.execute("run-1", plans)
        assert events[-1]["outcome"] == "complete"
        return {event["trial"]: event for event in trials_of(events)}

    return run_plan


def metrics_of(finished):
    return {metric["name"]: metric for metric in finished["metrics"]}


def floats_of(finished):
    data = base64.b64decode(finished["outputs"]["data"])
    return struct.unpack("<" + str(len(data) // 4) + "f", data)


def test_a_real_model_is_proved_and_measured(plans, add_job, run):
    plans.plan["measure"].update(warmup_runs_min=5, runs_min=50, seconds_min=0.1)
    add_job("o", trials=1)
    finished = run()
    assert {name: event["failure"] for name, event in finished.items()} == dict.fromkeys(["o.0", "o.1"])
    assert metrics_of(finished["o.0"])["accuracy_top1"]["value"] == pytest.approx(0.9833, abs=1e-4)
    measured = metrics_of(finished["o.1"])
    assert {"load_ns", "cold_start_ns", "rss_model_bytes_max", "latency_ns", "steady_ratio"} <= set(measured)
    assert measured["cold_start_ns"]["value"] > measured["import_ns"]["value"] > measured["load_ns"]["value"] > 0
    assert {name for name, one in measured.items() if one.get("value", 0) is None} == {
        "allocate_ns",
        "nodes",
        "delegated_nodes",
    }
    assert measured["delegated_nodes_ratio"]["value"] == 0
    assert measured["allocate_ns"]["reason"] == "the runtime allocates while it loads, in one step"


@pytest.mark.parametrize("scenario", ["multi-stream", "server"])
def test_a_real_model_is_timed_in_a_scenario(plans, add_job, run, scenario):
    plans.plan["measure"].update(runs_min=40, seconds_min=0.0, scenario=scenario, streams=3, rate_per_s=500.0)
    add_job("o", trials=1, dataset=None, accuracy_metric=None)
    finished = run()["o.1"]
    assert finished["failure"] is None
    measured = metrics_of(finished)
    assert measured["query_latency_ns"]["samples"]["count"] == 40
    assert measured["latency_ns"]["samples"]["count"] == (120 if scenario == "multi-stream" else 40)
    assert measured["mlperf_p99_ns"]["value"] > 0
    assert 0 < measured["throughput_items_per_s"]["value"] < (10**6 if scenario == "multi-stream" else 1500)


def test_operators_are_profiled_in_a_trial_that_is_not_timed(plans, add_job, run):
    add_job("o")
    plans.plan["trials"].append({"trial": "o.profile", "job": "o", "kind": "profile", "index": 0})
    found = run()["o.profile"]
    assert found["failure"] is None
    assert set(metrics_of(found)) == {"profile_runs"}
    profile = found["profile"]
    assert profile["runs"] == metrics_of(found)["profile_runs"]["value"] == 27
    kinds = {one["operator"] for one in profile["operators"]}
    assert any("Conv" in kind for kind in kinds)
    assert any("Gemm" in kind for kind in kinds)
    assert {one["placed_on"] for one in profile["operators"]} == {"CPUExecutionProvider"}
    assert {one["calls"] for one in profile["operators"]} == {27}
    assert sum(one["share"] for one in profile["operators"]) == pytest.approx(1)
    assert (found["power"], found["window"], found["invalid"]) == (None, None, [])


@pytest.mark.skipif(sys.version_info < (3, 8), reason="this onnxruntime knows neither the option nor the provider")
def test_a_provider_that_leaves_nodes_to_the_cpu_is_a_fallback(add_job, run):
    """Azure's provider, in every package of the CPU, runs calls of services alone: none of this model's nodes."""
    azure = {"threads": 1, "provider": "AzureExecutionProvider"}
    add_job("refused", settings=azure, trials=1)
    add_job("half", settings=azure, trials=1, delegation={"nodes_min": 0.5, "allow_fallback": False})
    add_job("allowed", settings=azure, trials=1, delegation={"nodes_min": 1.0, "allow_fallback": True})
    finished = run()
    assert {"refused.1", "half.1"} & set(finished) == set()
    assert [finished[name]["failure"]["kind"] for name in ("refused.0", "half.0")] == ["fallback"] * 2
    assert "AzureExecutionProvider does not run all nodes" in finished["refused.0"]["failure"]["message"]
    assert "nobody can tell how many nodes" in finished["half.0"]["failure"]["message"]
    metrics = metrics_of(finished["allowed.1"])
    assert [metrics[name]["value"] for name in ("nodes", "delegated_nodes_ratio")] == [None, None]
    assert "does not say which provider has which node" in metrics["delegated_nodes_ratio"]["reason"]


def test_a_batch_needs_an_open_first_size(plans, add_job, run):
    open_size = plans.add_file("open.onnx", doubling_onnx([("x", [None, 3], "float")]), "model")
    fixed = plans.add_file("fixed.onnx", doubling_onnx([("x", [1, 3], "float")]), "model")
    scalars = plans.add_file("scalars.onnx", doubling_onnx([("x", [3], "float")]), "model")
    for name, model in (("open", open_size), ("fixed", fixed), ("scalars", scalars)):
        add_job(name, model=model, dataset=None, accuracy_metric=None, settings={"threads": 1, "batch": 4})
    finished = run()
    assert finished["open.0"]["failure"] is None
    assert (finished["open.0"]["outputs"]["count"], finished["open.0"]["outputs"]["values_per_output"]) == (8, 3)
    assert {finished[name]["failure"]["kind"] for name in ("fixed.0", "scalars.0")} == {"load-error"}
    assert (
        "no batch of 4: the file fixes the first size of input 'x', [1, 3]" in finished["fixed.0"]["failure"]["message"]
    )
    assert "no batch of 4: none of its inputs" in finished["scalars.0"]["failure"]["message"]


def test_what_executed_is_told_with_its_providers(add_job, run):
    add_job("o")
    runtime = run()["o.0"]["runtime"]
    assert runtime["name"] + "==" + runtime["version"] == PACKAGE
    assert (runtime["providers"], runtime["threads"]) == (["CPUExecutionProvider"], 1)
    assert (runtime["input_dtypes"], runtime["output_dtypes"]) == (["float32"], ["float32"])


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="tflite-runtime has no wheel for this Python")
def test_both_artifacts_of_a_variant_compute_the_same(plans, add_job, run, tmp_path_factory):
    tflite = pack_bundle(tmp_path_factory.mktemp("tflite"), TFLITE)
    add_job("o")
    add_job(
        "t",
        engine="tflite",
        module="tflite_runtime.interpreter",
        python_path=[plans.add_blob(tflite, "bundle")],
        model=plans.add_file("digits-fp32.tflite", read_model("digits-fp32.tflite"), "model"),
    )
    finished = run()
    ours, theirs = floats_of(finished["o.0"]), floats_of(finished["t.0"])
    assert len(ours) == len(theirs) == 640
    assert max(abs(one - other) for one, other in zip(ours, theirs)) < 1e-5
    assert finished["o.0"]["outputs"]["top1"] == finished["t.0"]["outputs"]["top1"]
    assert metrics_of(finished["o.0"])["accuracy_top1"] == metrics_of(finished["t.0"])["accuracy_top1"]


def test_more_threads_are_used_and_told(add_job, run):
    add_job("o", settings={"threads": min(2, os.cpu_count() or 1)})
    finished = run()["o.0"]
    assert finished["failure"] is None
    assert finished["runtime"]["threads"] == min(2, os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"settings": {"delegate": "x.so"}},
            "no setting 'delegate'; it has batch, cpus, precision, provider, provider_options, threads",
        ),
        ({"settings": {"provider": "CUDAExecutionProvider"}}, "no provider 'CUDAExecutionProvider'; it has "),
        ({"model": None}, "the job has no model"),
    ],
)
def test_what_would_do_nothing_is_refused(add_job, run, changes, words):
    add_job("o", **changes)
    failure = run()["o.0"]["failure"]
    assert failure["kind"] == "load-error"
    assert words in failure["message"]


def test_a_file_of_another_format_is_a_load_error(plans, add_job, run):
    add_job("o", model=plans.add_file("digits-fp32.tflite", read_model("digits-fp32.tflite"), "model"))
    assert run()["o.0"]["failure"]["kind"] == "load-error"
