"""Real models in a real TensorFlow Lite, shipped as a bundle; skipped where no package index can be reached."""

import base64
import os
import shutil
import struct
import subprocess
import sys

import pytest

from bundles import pack_bundle, read_model
from device_worker.protocol.samples import decode_block
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


@pytest.fixture
def add_job(plans, bundle):
    """A function that adds a job of the digits model; changes replace what a good job has."""

    def add(name, variant="fp32", trials=1, with_dataset=True, **changes):
        fields = {
            "engine": "tflite",
            "module": "tflite_runtime.interpreter",
            "variant": variant,
            "settings": {"threads": 1},
            "python_path": [plans.add_blob(bundle, "bundle")],
            "model": plans.add_file(f"digits-{variant}.tflite", read_model(f"digits-{variant}.tflite"), "model"),
            "input": {"low": 0.0, "high": 1.0},
        }
        if with_dataset:
            fields["dataset"] = plans.add_file("digits-test.npz", read_model("digits-test.npz"), "dataset")
            fields["accuracy_metric"] = "top1"
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


COLD_START = ("process_start_ns", "import_ns", "load_ns", "first_inference_ns")
STAGES = ("rss_interpreter_bytes", "rss_import_bytes", "rss_load_bytes", "rss_run_bytes")
MEMORY = (*STAGES, "rss_steady_bytes", "rss_model_bytes_max", "rss_bytes_max")


def metrics_of(finished):
    return {metric["name"]: metric for metric in finished["metrics"]}


def floats_of(outputs):
    data = base64.b64decode(outputs["data"])
    return struct.unpack(f"<{len(data) // 4}f", data)


def test_variants_of_a_real_model_are_proved_and_measured(plans, add_job, run):
    plans.plan["measure"].update(warmup_runs_min=5, runs_min=50, seconds_min=0.1)
    add_job("f", "fp32", trials=1)
    add_job("i", "int8", trials=1)
    finished = run()
    assert {name: event["failure"] for name, event in finished.items()} == dict.fromkeys(["f.0", "f.1", "i.0", "i.1"])
    for name in ("f.0", "i.0"):
        proof = metrics_of(finished[name])
        assert proof["accuracy_top1"]["value"] > 0.95
        results = finished[name]["input_results"]
        assert (results["metric"], results["encoding"], results["count"]) == ("accuracy_top1", "bits", 360)
        assert results["dataset_sha256"] == plans.plan["jobs"][0]["dataset"]["sha256"]
        right = sum(bin(byte).count("1") for byte in base64.b64decode(results["data"]))
        assert right / 360 == pytest.approx(proof["accuracy_top1"]["value"])
        outputs = finished[name]["outputs"]
        assert (outputs["count"], outputs["values_per_output"], outputs["inputs"]) == (64, 10, "dataset")
        values = floats_of(outputs)
        assert len(values) == 640
        scores = [values[start : start + 10] for start in range(0, 640, 10)]
        assert [row.index(max(row)) for row in scores] == outputs["top1"]
        assert all(abs(sum(row) - 1) < 0.05 for row in scores)
    measured = metrics_of(finished["f.1"])
    latencies = decode_block(measured["latency_ns"]["samples"])
    window = finished["f.1"]["window"]
    assert len(latencies) >= 50
    assert window["end_mono_ns"] - window["begin_mono_ns"] >= sum(latencies) * measured["latency_ns"]["batch"] * 0.5
    expected = {*COLD_START, *MEMORY, "swap_bytes", "cold_start_ns", "warmup_runs", "set_input_ns", "get_output_ns"}
    expected |= {"nodes", "delegated_nodes", "delegated_nodes_ratio"}
    assert expected | {"latency_ns", "involuntary_switches", "steady_ratio", "allocate_ns"} == set(measured)
    assert 10e6 < measured["rss_bytes_max"]["value"] < 500e6
    assert 0 < measured["allocate_ns"]["value"] < measured["load_ns"]["value"]
    assert measured["cold_start_ns"]["value"] == sum(measured[name]["value"] for name in COLD_START)
    assert 0 < measured["cold_start_ns"]["value"] < finished["f.1"]["duration_ns"]
    assert all(measured[name]["value"] > 1e6 for name in ("process_start_ns", "import_ns"))
    runtime = finished["f.1"]["runtime"]
    assert runtime["name"] == "tflite-runtime"
    assert f"tflite-runtime=={runtime['version']}" == PACKAGES[0]
    assert (runtime["threads"], runtime["input_dtypes"], runtime["delegates"]) == (1, ["float32"], ["XNNPACK"])
    assert runtime["nodes"] == runtime["delegated_nodes"] == 8
    assert finished["i.1"]["runtime"]["input_dtypes"] == ["int8"]
    assert finished["i.1"]["runtime"]["delegated_nodes"] < 8


def test_the_model_has_memory_of_its_own(plans, add_job, run):
    """The interpreter and the runtime take tens of megabytes, and a model of 21 kB no more than a few."""
    add_job("f", "fp32", trials=1)
    measured = {name: one["value"] for name, one in metrics_of(run()["f.1"]).items() if name.startswith("rss_")}
    stages = [measured[f"rss_{stage}_bytes"] for stage in ("interpreter", "import", "load", "run")]
    assert sum(stages) == pytest.approx(measured["rss_steady_bytes"], rel=0.05)
    assert measured["rss_interpreter_bytes"] > 5e6
    assert measured["rss_import_bytes"] > 5e6
    assert 0 < measured["rss_load_bytes"] < 8e6
    assert measured["rss_load_bytes"] <= measured["rss_model_bytes_max"] + 1e6 < 10e6
    assert measured["rss_steady_bytes"] <= measured["rss_bytes_max"] + 1e6


def test_operators_are_profiled_by_the_interpreters_own_library(plans, add_job, run):
    for name, variant in (("f", "fp32"), ("i", "int8")):
        add_job(name, variant)
        plans.plan["trials"].append({"trial": f"{name}.profile", "job": name, "kind": "profile", "index": 0})
    finished = run()
    profiles = [finished[name]["profile"] for name in ("f.profile", "i.profile")]
    if sys.version_info < (3, 8):  # the library of 2.11 times what XNNPACK took over as one operator
        (whole,) = profiles[0]["operators"]
        assert (whole["operator"], whole["placed_on"]) == ("TfLiteXNNPackDelegate", "XNNPACK")
        assert {one["placed_on"] for one in profiles[1]["operators"]} == {"interpreter"}
        return
    delegated, plain = profiles
    assert {profile["runs"] for profile in profiles} == {27}
    assert len(delegated["operators"]) == len(plain["operators"]) == 8
    assert {one["placed_on"] for one in delegated["operators"]} == {"XNNPACK"}
    assert {one["placed_on"] for one in plain["operators"]} == {"interpreter"}
    assert sorted(one["operator"] for one in plain["operators"]) == [
        *["CONV_2D"] * 2,
        *["FULLY_CONNECTED"] * 2,
        *["MAX_POOL_2D"] * 2,
        "RESHAPE",
        "SOFTMAX",
    ]
    assert {one["calls"] for profile in profiles for one in profile["operators"]} == {27}
    assert sum(one["share"] for one in plain["operators"]) == pytest.approx(1)
    assert all(one["mean_ns"] > 0 for one in plain["operators"])
    assert any("conv2d" in one["name"] for one in plain["operators"])


@pytest.fixture(scope="session")
def delegate(tmp_path_factory):
    """The path of a real delegate library, which runs RESHAPE alone."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler builds the delegate")
    library = str(tmp_path_factory.mktemp("delegate") / "libcopying.so")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "delegate.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    return library


def test_a_delegate_that_takes_one_node_of_eight_is_a_fallback(plans, add_job, run, delegate):
    """XNNPACK takes the seven others where it is there, and these are none of the delegate's."""
    asked = {"threads": 1, "delegate": delegate}
    add_job("refused", settings=asked, trials=1)
    add_job("enough", settings=asked, trials=1, delegation={"nodes_min": 0.125, "allow_fallback": False})
    add_job("allowed", settings=asked, trials=1, delegation={"nodes_min": 1.0, "allow_fallback": True})
    finished = run()
    refused = finished["refused.0"]
    assert "refused.1" not in finished
    assert refused["failure"]["kind"] == "fallback"
    assert "libcopying.so runs 1 of 8 nodes (XNNPACK 7)" in refused["failure"]["message"]
    assert refused["runtime"]["nodes_by_place"] == {delegate: 1, "XNNPACK": 7, "interpreter": 0}
    for name in ("enough.0", "enough.1", "allowed.0", "allowed.1"):
        assert finished[name]["failure"] is None
        metrics = metrics_of(finished[name])
        assert (metrics["nodes"]["value"], metrics["delegated_nodes"]["value"]) == (8, 1)
        assert metrics["delegated_nodes_ratio"]["value"] == 0.125
    # The delegate computes: what it copied is what the other nodes went on with.
    assert metrics_of(finished["enough.0"])["accuracy_top1"]["value"] > 0.95


def test_xnnpack_can_be_asked_for(plans, add_job, run):
    """XNNPACK of 2.14 takes all of fp32, and not all of int8."""
    for variant in ("fp32", "int8"):
        add_job(variant, variant, settings={"threads": 1, "delegate": "xnnpack"}, trials=0)
    finished = run()
    assert finished["fp32.0"]["failure"] is None
    assert metrics_of(finished["fp32.0"])["delegated_nodes_ratio"]["value"] == 1.0
    failure = finished["int8.0"]["failure"]
    assert failure["kind"] == "fallback"
    assert "XNNPACK runs" in failure["message"]


def test_a_batch_is_invoked_at_once_and_proved_image_by_image(plans, add_job, run):
    """360 images are no multiple of 7: behind the last one the first ones come again, and count for nothing."""
    for name, settings in (("one", {}), ("first", {"batch": 1}), ("seven", {"batch": 7})):
        add_job(name, settings=dict(settings, threads=1), trials=1)
    # The constant by which the model flattens, as converters write it: it holds one image.
    pinned = read_model("digits-fp32.tflite").replace(struct.pack("<Iii", 8, -1, 128), struct.pack("<Iii", 8, 1, 128))
    add_job("pinned", settings={"threads": 1, "batch": 7}, model=plans.add_file("pinned.tflite", pinned, "model"))
    finished = run()
    proofs = [finished[name] for name in ("one.0", "first.0", "seven.0")]
    assert [proof["failure"] for proof in proofs] == [None] * 3
    assert {proof["input_results"]["data"] for proof in proofs} == {proofs[0]["input_results"]["data"]}
    outputs = [floats_of(proof["outputs"]) for proof in proofs]
    assert max(abs(one - other) for one, other in zip(outputs[0], outputs[2])) < 1e-4
    assert "throughput_items_per_s" not in metrics_of(finished["one.1"])
    for name, items in (("first", 1), ("seven", 7)):
        measured = metrics_of(finished[name + ".1"])
        samples = decode_block(measured["latency_ns"]["samples"])
        assert measured["throughput_items_per_s"]["value"] == pytest.approx(items * 1e9 * len(samples) / sum(samples))
        assert measured["delegated_nodes_ratio"]["value"] == 1.0
    failure = finished["pinned.0"]["failure"]
    assert failure["kind"] == "load-error"
    assert "the model takes no batch of 7: " in failure["message"]
    assert "RESHAPE" in failure["message"]


def test_random_inputs_are_the_same_for_every_variant(add_job, run):
    add_job("f", "fp32", trials=0, with_dataset=False)
    add_job("h", "fp16", trials=0, with_dataset=False)
    finished = run()
    outputs = [finished[name]["outputs"] for name in ("f.0", "h.0")]
    assert [(found["count"], found["inputs"]) for found in outputs] == [(8, "random")] * 2
    differences = [abs(one - other) for one, other in zip(*map(floats_of, outputs))]
    assert max(differences) < 0.01


def test_inputs_that_the_model_cannot_hold_are_counted_and_mostly_clipped_ones_cost_the_accuracy(
    tmp_path, plans, add_job, run
):
    numpy = pytest.importorskip("numpy")
    (tmp_path / "scaled.npz").write_bytes(read_model("digits-test.npz"))
    with numpy.load(tmp_path / "scaled.npz") as scaled:
        numpy.savez(str(tmp_path / "raw.npz"), x=scaled["x"] * 255, y=scaled["y"])
    raw = plans.add_file("raw.npz", (tmp_path / "raw.npz").read_bytes(), "dataset")
    add_job("good", "int8", trials=0)
    add_job("dark", "int8-badcal", trials=0)
    add_job("raw", "int8", trials=1, dataset=raw)
    add_job("float", "fp32", trials=0, dataset=raw)
    finished = run()
    assert [event["failure"] for event in finished.values()] == [None] * 5
    accuracy = {name: metrics_of(event).get("accuracy_top1") for name, event in finished.items()}
    (good,), (dark,), (lost,) = (finished[name]["outputs"]["input_ranges"] for name in ("good.0", "dark.0", "raw.0"))
    assert (good["saturated_ratio"], good["dtype"], round(good["low"], 6)) == (0.0, "int8", 0.0)
    assert good["high"] == pytest.approx(1.0, abs=0.01)
    assert accuracy["good.0"]["value"] > 0.97
    assert (dark["data_high"], round(dark["high"], 2), round(dark["saturated_ratio"], 2)) == (1.0, 0.25, 0.4)
    assert accuracy["dark.0"]["value"] == pytest.approx(0.7611, abs=0.01)
    assert lost["saturated_ratio"] > 0.5
    reason = accuracy["raw.0"]["reason"]
    assert (accuracy["raw.0"]["value"], finished["raw.0"]["outputs"]["count"]) == (None, 0)
    assert finished["raw.0"]["outputs"]["reason"] == reason
    assert "(int8) holds 0 to 1, and clips 51 % of its numbers, which reach from 0 to 255; scale x of" in reason
    assert metrics_of(finished["raw.1"])["latency_ns"]["samples"]
    assert (finished["float.0"]["outputs"]["input_ranges"], finished["float.0"]["outputs"]["count"]) == ([], 64)


def test_what_cannot_be_loaded_fails_its_preflight_in_words(plans, add_job, run):
    broken = plans.add_file("broken.tflite", b"TFL3 this is no flat buffer" * 10, "model")
    add_job("model", model=broken)
    add_job("module", module="no_such_runtime.interpreter")
    add_job("setting", settings={"thread": 1})
    add_job("delegate", settings={"threads": 1, "delegate": "libnothing.so.1"})
    add_job("metric", accuracy_metric="bleu")
    add_job("data", dataset=plans.add_file("digits-test.npz", b"no archive", "dataset"))
    finished = run()
    assert set(finished) == {"model.0", "module.0", "setting.0", "delegate.0", "metric.0", "data.0"}
    assert {event["failure"]["kind"] for event in finished.values()} == {"load-error"}
    words = {"module.0": "no_such_runtime", "setting.0": "'thread'", "delegate.0": "libnothing", "metric.0": "'bleu'"}
    for name, word in words.items():
        assert word in finished[name]["failure"]["message"]


def test_a_library_that_cannot_be_loaded_is_told_before_numpys_own_words(connect, plans, add_job, noexec):
    """On a file system mounted noexec, numpy says not to import it from its source directory."""
    device = connect(state_dir=str(noexec / "state"))
    add_job("job")
    plans.plan["limits"]["trial_timeout_s"] = 60.0
    failure = trials_of(device.execute("run-1", plans))[0]["failure"]
    assert failure["kind"] == "load-error"
    first, _, others = failure["message"].partition(", which led to ")
    assert "failed to map segment from shared object" in first
    assert "numpy" in others
    assert "The above exception was the direct cause" in failure["stderr_tail"]
