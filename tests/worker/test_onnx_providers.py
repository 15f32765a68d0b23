"""A provider beside the CPU's in a real ONNX Runtime: OpenVINO's, which needs no hardware of its own."""

import sys

import pytest

from bundles import pack_bundle, read_model
from device_worker.trial.runtimes.base import LoadFailure
from device_worker.trial.runtimes.onnx_providers import CPU, CUDA, OPENVINO, TENSORRT, find_places, provider_options
from odd_models import determinant_onnx
from worker_client import trials_of

PACKAGE = "onnxruntime-openvino==1.24.1"

pytestmark = [pytest.mark.timeout(180)]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """A zip of the runtime and what it imports."""
    if sys.version_info < (3, 11):
        pytest.skip("this onnxruntime-openvino has no wheel for this Python")
    return pack_bundle(tmp_path_factory.mktemp("onnxruntime-openvino"), [PACKAGE])


@pytest.fixture
def add_job(plans, bundle):
    """A function that adds a job of the digits model on OpenVINO's provider; changes replace what a good job has."""

    def add(name, settings, trials=0, **changes):
        fields = {
            "engine": "onnxruntime",
            "module": "onnxruntime",
            "variant": "fp32",
            "settings": dict({"threads": 1, "provider": OPENVINO}, **settings),
            "python_path": [plans.add_blob(bundle, "bundle")],
            "model": plans.add_file("digits-fp32.onnx", read_model("digits-fp32.onnx"), "model"),
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


def test_nodes_are_counted_by_the_provider_that_has_them(add_job, run):
    add_job("whole", {}, trials=1)
    add_job("half", {}, delegation={"nodes_min": 0.5, "allow_fallback": False})
    finished = run()
    assert {name: event["failure"] for name, event in finished.items()} == dict.fromkeys(finished)
    for name in ("whole.1", "half.0"):
        found = metrics_of(finished[name])
        assert (found["nodes"]["value"], found["delegated_nodes"]["value"]) == (13, 13)
        assert found["delegated_nodes_ratio"]["value"] == 1
    runtime = finished["whole.1"]["runtime"]
    assert runtime["nodes_by_place"] == {OPENVINO: 13}
    assert runtime["name"] + "==" + runtime["version"] == PACKAGE


def test_a_provider_with_fewer_nodes_than_asked_for_is_a_fallback(plans, add_job, run):
    """OpenVINO's provider leaves the determinant to the CPU."""
    model = plans.add_file("determinant.onnx", determinant_onnx(), "model")
    for name, share in (("most", 0.9), ("half", 0.5)):
        add_job(name, {}, model=model, trials=1, delegation={"nodes_min": share, "allow_fallback": False})
    add_job("all", {}, model=model)
    finished = run()
    assert set(finished) == {"most.0", "half.0", "half.1", "all.0"}
    refused = finished["most.0"]
    assert refused["failure"]["kind"] == "fallback"
    assert f"{OPENVINO} runs 2 of 3 nodes ({CPU} 1), and 0.9 of them" in refused["failure"]["message"]
    assert refused["runtime"]["nodes_by_place"] == {OPENVINO: 2, CPU: 1}
    assert finished["half.1"]["failure"] is None
    assert metrics_of(finished["half.1"])["delegated_nodes_ratio"]["value"] == pytest.approx(2 / 3)
    # Asked for all nodes, ONNX Runtime itself refuses to begin.
    assert finished["all.0"]["failure"]["kind"] == "fallback"


def test_the_precision_is_pinned_and_reported(add_job, run):
    import base64
    import struct

    for name, settings in (("plain", {}), ("f32", {"precision": "f32"}), ("f16", {"precision": "f16"})):
        add_job(name, settings)
    finished = run()
    outputs = {}
    for name, event in finished.items():
        assert event["failure"] is None
        data = base64.b64decode(event["outputs"]["data"])
        outputs[name] = struct.unpack("<" + str(len(data) // 4) + "f", data)
    assert outputs["plain.0"] == outputs["f32.0"]
    assert '"f32"' in finished["plain.0"]["runtime"]["provider_options"]["load_config"]
    assert finished["f16.0"]["runtime"]["precision"] == "f16"


def test_options_of_the_provider_reach_it_and_wrong_ones_are_refused(add_job, run):
    add_job("wrong", {"provider_options": "no_such_option=1"})
    add_job("precision", {"precision": "int8"})
    add_job("form", {"provider_options": "disable_dynamic_shapes"})
    finished = run()
    messages = {name: event["failure"]["message"] for name, event in finished.items()}
    assert {event["failure"]["kind"] for event in finished.values()} == {"load-error"}
    assert "no_such_option" in messages["wrong.0"]
    assert "OpenVINOExecutionProvider has no precision 'int8'; it has f32, bf16, f16" in messages["precision.0"]
    assert "'disable_dynamic_shapes' is no option; write KEY=VALUE" in messages["form.0"]


@pytest.mark.parametrize(
    ("provider", "settings", "options"),
    [
        (CPU, {}, {}),
        (CUDA, {"provider_options": "device_id=1, cudnn_conv_algo_search=HEURISTIC"},
         {"device_id": "1", "cudnn_conv_algo_search": "HEURISTIC"}),
        (TENSORRT, {"precision": "f32"}, {}),
        (TENSORRT, {"precision": "f16"}, {"trt_fp16_enable": "1"}),
        (TENSORRT, {"precision": "int8", "provider_options": "trt_fp16_enable=1"},
         {"trt_int8_enable": "1", "trt_fp16_enable": "1"}),
    ],
)  # fmt: skip
def test_settings_become_options_of_the_provider(provider, settings, options):
    assert provider_options(provider, settings) == options


@pytest.mark.parametrize("provider", [CPU, CUDA])
def test_a_precision_that_would_do_nothing_is_refused(provider):
    with pytest.raises(LoadFailure, match="computes as the file says"):
        provider_options(provider, {"precision": "f16"})


def test_a_release_that_does_not_tell_leaves_the_count_unknown():
    places = find_places(object(), CUDA, None)
    assert (places.by_place, places.share) == (None, None)
    assert "before 1.24" in places.reason
    assert find_places(object(), CUDA, 1.0).share == 1.0
