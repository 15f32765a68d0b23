"""The sweeps of docs/questions.md run from this checkout to a table that answers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from orchestrator.domain.errors import ExitCode
from tests.lab import REPOSITORY, Lab

pytestmark = [pytest.mark.system, pytest.mark.network, pytest.mark.timeout(900)]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path)
    made.add_local("local")
    return made


def test_predict_of_keras_is_set_beside_every_other_call(lab: Lab) -> None:
    """One short trial of each call, at one item: the ways differ by more than any load of this machine."""
    # Without ai-edge-litert: tensorflow brings the same interpreter, and a bundle less is fetched.
    options = ("--runtimes", "tensorflow==2.21.0", "--set", "matrix.batch=[1]", "--set", "measure.seconds_min=0.1")
    sweep = str(REPOSITORY / "sweeps" / "keras-vs-tflite.yaml")
    done = lab.run("run", sweep, "--trials", "1", *options, timeout_s=800)
    assert done.returncode == ExitCode.FINE, done.stderr
    compared = lab.json("compare", "last", "--by", "call", "--base", "predict", "--metric", "latency_ns")
    group = next(one for one in compared["groups"] if one["fixed"]["runtime"] == "tensorflow==2.21.0")
    found = {side["at"]: side["value"] for side in (group["base"], *(row["side"] for row in group["rows"]))}
    assert set(found) == {"predict", "predict_on_batch", "model", "function", "xla", "signature", "tf.lite"}
    assert found["tf.lite"] * 10 < found["predict"]
    assert found["function"] < found["model"] < found["predict"]
    assert {row["outputs"]["agreement"] for row in group["rows"]} == {"agree"}


def test_a_binding_that_copies_element_by_element_is_set_beside_others_of_one_library(lab: Lab) -> None:
    """One short trial of each program, compiled here. What differs by a factor of hundreds shows under any load."""
    programs = ["exec/c", "exec/python-ctypes"]
    if shutil.which("mcs") and shutil.which("mono"):
        programs += ["exec/csharp-pinned", "exec/csharp-naive"]
    kernels = ("--set", "matrix.kernels=[xnnpack]", "--set", "measure.seconds_min=0.1")
    sweep = str(REPOSITORY / "sweeps" / "bindings.yaml")
    done = lab.run("run", sweep, "--trials", "1", "--runtimes", ",".join(programs), *kernels, timeout_s=300)
    assert done.returncode == ExitCode.FINE, done.stdout + done.stderr
    told = lab.rows("select runtime_reported from attempt")
    outputs = [json.loads(row["runtime_reported"])["output"] for row in told]
    assert len(outputs) == len(programs)
    assert all(output == pytest.approx(outputs[0], abs=1e-5) for output in outputs)
    if len(programs) == 4:
        asked = ("--by", "runtime", "--base", "exec/csharp-pinned", "--metric", "set_input_ns")
        compared = lab.json("compare", "last", *asked)
        (group,) = compared["groups"]
        found = {side["at"]: side["value"] for side in (group["base"], *(row["side"] for row in group["rows"]))}
        assert found["exec/csharp-naive"] > 20 * found["exec/csharp-pinned"]
    else:
        pytest.skip("no mono here: C# is not compared (apt-get install mono-mcs mono-runtime)")


SHORT = ("--trials", "1", "--set", "measure.seconds_min=0.05", "--set", "measure.warmup.seconds_min=0.0")
"""Long enough for a table: no test asks how fast anything is on this machine."""


def run_shipped(lab: Lab, sweep: str, *options: str) -> None:
    done = lab.run("run", str(REPOSITORY / "sweeps" / f"{sweep}.yaml"), *SHORT, *options, timeout_s=400)
    assert done.returncode == ExitCode.FINE, done.stderr


def test_compression_is_a_table_of_size_accuracy_latency_and_memory(lab: Lab) -> None:
    """Sizes and accuracies of the shipped files are certain, whatever else this machine does."""
    run_shipped(lab, "compression")
    columns = "variant, accuracy, size_bytes, latency_ns, energy_mj, on_front"
    rows = {row["variant"]: row for row in lab.rows(f"SELECT {columns} FROM v_pareto WHERE model = 'compressed'")}
    assert set(rows) == set(VARIANTS)
    assert {row["accuracy"] > 0.95 for row in rows.values()} == {True}
    assert all(row["latency_ns"] > 0 for row in rows.values())
    sizes = {name: row["size_bytes"] for name, row in rows.items()}
    assert sizes["int8"] < sizes["fp16"] < sizes["fp32"]
    assert sizes["distilled"] < sizes["fp32"] / 2
    compared = lab.json("compare", "last", "--base", "fp32", "--metric", "memory", "--metric", "size")
    assert {row["side"]["at"] for row in compared["groups"][0]["rows"]} == set(VARIANTS) - {"fp32"}


VARIANTS = (
    "fp32", "fp16", "dynamic", "int8", "int16x8", "pruned", "pruned-int8", "clustered", "qat", "distilled",
    "distilled-int8",
)  # fmt: skip


def test_int8_is_set_beside_float32_operator_by_operator(lab: Lab) -> None:
    run_shipped(lab, "operators")
    rules = ("--cell", "variant=int8,kernels=builtin", "--against", "variant=fp32,kernels=builtin")
    pair = lab.json("runs", "profile", "last", *rules)
    both = {one["operator"] for one in pair["kinds"] if one["ratio"] is not None}
    assert {"CONV_2D", "DEPTHWISE_CONV_2D"} <= both
    (fast,) = lab.json("runs", "profile", "last", "--cell", "variant=int8,kernels=xnnpack")
    assert fast["reason"] is None


def test_threads_beyond_the_processors_are_left_out_and_named(lab: Lab) -> None:
    run_shipped(lab, "threads", "--variants", "fp32", "--threads", "1,500")
    (left_out,) = lab.json("runs", "show", "last")["excluded"]
    assert "500 threads on a device of" in left_out["reason"]


def test_one_saved_model_is_served_by_four_protocols(lab: Lab) -> None:
    """Servers started by their trials. What is certain on any machine: all of them compute the same.

    KServe v2 over HTTP is asked in test_endpoints.
    """
    sweep = str(REPOSITORY / "sweeps" / "serving.yaml")
    rules = ("measure.scenario=server", "measure.rate_per_s=20", "measure.runs_min=10", "measure.warmup.runs_min=1")
    options = [word for rule in rules for word in ("--set", rule)]
    names = ["endpoint/tf-serving-rest", "endpoint/tf-serving-grpc", "endpoint/kserve-grpc"]
    done = lab.run("run", sweep, *SHORT, "--runtimes", ",".join(names), *options, timeout_s=800)
    assert done.returncode == ExitCode.FINE, done.stdout + done.stderr
    compared = lab.json("compare", "last", "--by", "runtime", "--base", "endpoint/tf-serving-grpc")
    (group,) = compared["groups"]
    assert {row["side"]["at"] for row in group["rows"]} == set(names) - {"endpoint/tf-serving-grpc"}
    assert {row["outputs"]["agreement"] for row in group["rows"]} == {"agree"}
    told = lab.rows("select distinct runtime_reported from attempt where runtime_reported is not null")
    spoken = {json.loads(row["runtime_reported"])["protocol"] for row in told}
    assert spoken == {"tf-serving", "tf-serving-grpc", "kserve-v2-grpc"}
