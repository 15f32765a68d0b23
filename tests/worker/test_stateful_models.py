"""Models with a state, in real runtimes of bundles: the state is kept from call to call, or reset before each."""

import base64
import struct
import sys

import pytest

from bundles import pack_bundle
from stateful_models import summing_int8_tflite, summing_onnx, summing_tflite, svdf_tflite
from worker_client import trials_of

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(not (3, 10) <= sys.version_info < (3, 12), reason="not both runtimes have a wheel"),
]
PACKAGES = {"tflite": ["tflite-runtime==2.14.0", "numpy<2"], "onnxruntime": ["onnxruntime==1.20.1"]}
MODULES = {"tflite": "tflite_runtime.interpreter", "onnxruntime": "onnxruntime"}
ONES = {"low": 1.0, "high": 1.0000001, "shape": [1, 2], "dtype": "float32"}
FED = {"before": dict(ONES, from_output="total")}


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
            "input": ONES,
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


def first_values(finished):
    """Return the first value of each kept output, by input."""
    assert finished["failure"] is None, finished["failure"]
    kept = finished["outputs"]
    flat = struct.unpack(f"<{kept['count'] * kept['values_per_output']}f", base64.b64decode(kept["data"]))
    return [round(value, 3) for value in flat[:: kept["values_per_output"]]]


def test_a_state_in_variables_is_kept_unless_the_model_says_reset(add_job, run):
    add_job("kept", "tflite", svdf_tflite())
    add_job("reset", "tflite", svdf_tflite(), state="reset")
    finished = run()
    # Three inputs are remembered. The proof begins with an empty state, whatever ran before.
    assert first_values(finished["kept.0"]) == [1.0, 2.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0]
    assert first_values(finished["reset.0"]) == [1.0] * 8
    for name, policy in (("kept", "keep"), ("reset", "reset")):
        timed = finished[f"{name}.1"]
        assert timed["failure"] is None
        assert timed["runtime"]["state"] == {"policy": policy, "variables": ["SVDF"], "fed_back": {}}
    latency = next(one for one in finished["reset.1"]["metrics"] if one["name"] == "latency_ns")
    assert latency["batch"] == 1, "a reset stands between two calls, outside of the time"


def test_what_no_runtime_resets_is_refused_with_the_remedy_and_measured_when_kept(add_job, run):
    add_job("kept", "tflite", summing_tflite())
    add_job("reset", "tflite", summing_tflite(), state="reset")
    finished = run()
    # How many inferences came before is a matter of speed.
    assert finished["kept.0"]["failure"] is None
    assert finished["kept.0"]["outputs"]["count"] == 0
    assert finished["kept.0"]["outputs"]["reason"] == (
        "the state cannot begin anew, and what ran before is in the outputs (the model keeps its state in resource "
        "variables (ASSIGN_VARIABLE, READ_VARIABLE, VAR_HANDLE), which no call of TensorFlow Lite's interpreter resets)"
    )
    assert finished["kept.1"]["failure"] is None
    assert finished["kept.1"]["runtime"]["state"]["variables"] == ["ASSIGN_VARIABLE", "READ_VARIABLE", "VAR_HANDLE"]
    failure = finished["reset.0"]["failure"]
    assert failure["kind"] == "load-error"
    assert "resource variables (ASSIGN_VARIABLE, READ_VARIABLE, VAR_HANDLE)" in failure["message"]
    assert failure["message"].endswith("declare state: keep in model.yaml")


def test_an_output_that_is_fed_back_begins_with_zeros_and_is_kept_or_reset(add_job, run, plans):
    add_job("kept", "onnxruntime", summing_onnx(), inputs=FED)
    add_job("reset", "onnxruntime", summing_onnx(), inputs=FED, state="reset")
    add_job("wrong", "onnxruntime", summing_onnx(), inputs={"before": dict(ONES, from_output="sum")})
    add_job("wide", "onnxruntime", summing_onnx((1, 1)), inputs={"before": dict(FED["before"], shape=[1, 1])})
    finished = run()
    assert first_values(finished["kept.0"]) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    assert first_values(finished["reset.0"]) == [1.0] * 8
    assert finished["kept.1"]["runtime"]["state"] == {
        "policy": "keep",
        "variables": [],
        "fed_back": {"before": "total"},
    }
    assert (
        "'sum' back to the input 'before', and the file has 'y', 'total'" in finished["wrong.0"]["failure"]["message"]
    )
    assert (
        "'total' is [1, 2], and the input 'before' that it is fed back to is [1, 1]"
        in (finished["wide.0"]["failure"]["message"])
    )


def test_a_state_that_is_fed_back_is_not_judged_by_what_was_drawn_for_it(add_job, run):
    far = {"before": dict(FED["before"], low=1000.0, high=1000.1)}  # beyond what int8 holds, and never given
    add_job("kept", "tflite", summing_int8_tflite(), inputs=far)
    finished = run()["kept.0"]
    assert first_values(finished) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    given = {one["name"]: (one["data_low"], one["data_high"]) for one in finished["outputs"]["input_ranges"]}
    assert given["before"] == (0.0, 7.0)


def test_a_profile_feeds_back_what_has_been_run(add_job, run, plans):
    add_job("kept", "onnxruntime", summing_onnx(), inputs=FED)
    plans.plan["trials"].append({"trial": "kept.2", "job": "kept", "kind": "profile", "index": 1})
    finished = run()["kept.2"]
    assert finished["failure"] is None, finished["failure"]
    assert {one["operator"] for one in finished["profile"]["operators"]} >= {"Add"}


def test_a_scenario_has_no_time_for_a_reset(add_job, run, plans):
    add_job("reset", "tflite", svdf_tflite(), state="reset")
    plans.plan["measure"]["scenario"] = "single-stream"
    assert "take scenario: out of the sweep" in run()["reset.1"]["failure"]["message"]
