"""The questions of docs/questions.md are asked from this checkout, and a table answers."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.domain.errors import ExitCode
from tests.lab import REPOSITORY, Lab
from tests.system.asking import SHORT, ask, sections
from tests.system.followed import ELSEWHERE
from tests.system.readers import commands, page
from tests.system.test_endpoints import (
    test_mlserver_answers_what_the_file_answers_and_queries_count_from_their_arrival as asked_of_mlserver,
)

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
    ask(lab, "Why is `predict` of Keras so much slower than TensorFlow Lite?", "--trials", "1", *options)
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
    options = ("--trials", "1", "--runtimes", ",".join(programs), *kernels)
    ask(lab, "Why is one binding so much slower than another?", *options)
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


def test_compression_is_a_table_of_size_accuracy_latency_and_memory(lab: Lab) -> None:
    """Sizes and accuracies of the shipped files are certain, whatever else this machine does."""
    ask(lab, "What does compression gain on this board, and what does it cost?", *SHORT)
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
    ask(lab, "What does int8 cost, operator by operator?", *SHORT)
    rules = ("--cell", "variant=int8,kernels=builtin", "--against", "variant=fp32,kernels=builtin")
    pair = lab.json("runs", "profile", "last", *rules)
    both = {one["operator"] for one in pair["kinds"] if one["ratio"] is not None}
    assert {"CONV_2D", "DEPTHWISE_CONV_2D"} <= both
    (fast,) = lab.json("runs", "profile", "last", "--cell", "variant=int8,kernels=xnnpack")
    assert fast["reason"] is None


def test_threads_beyond_the_processors_are_left_out_and_named(lab: Lab) -> None:
    ask(lab, "Where do more threads stop helping?", *SHORT, "--variants", "fp32", "--threads", "1,500")
    (left_out,) = lab.json("runs", "show", "last")["excluded"]
    assert "500 threads on a device of" in left_out["reason"]


def test_one_saved_model_is_served_by_four_protocols(lab: Lab) -> None:
    """Servers started by their trials. What is certain on any machine: all of them compute the same.

    KServe v2 over HTTP is asked in test_endpoints.
    """
    rules = ("measure.scenario=server", "measure.rate_per_s=20", "measure.runs_min=10", "measure.warmup.runs_min=1")
    options = [word for rule in rules for word in ("--set", rule)]
    names = ["endpoint/tf-serving-rest", "endpoint/tf-serving-grpc", "endpoint/kserve-grpc"]
    ask(lab, "What does the protocol of a served model cost?", *SHORT, "--runtimes", ",".join(names), *options)
    compared = lab.json("compare", "last", "--by", "runtime", "--base", "endpoint/tf-serving-grpc")
    (group,) = compared["groups"]
    assert {row["side"]["at"] for row in group["rows"]} == set(names) - {"endpoint/tf-serving-grpc"}
    assert {row["outputs"]["agreement"] for row in group["rows"]} == {"agree"}
    told = lab.rows("select distinct runtime_reported from attempt where runtime_reported is not null")
    spoken = {json.loads(row["runtime_reported"])["protocol"] for row in told}
    assert spoken == {"tf-serving", "tf-serving-grpc", "kserve-v2-grpc"}


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="here is a GPU: the page tells of a machine without one")
def test_without_a_gpu_the_plan_says_what_is_missing_and_the_rest_runs(lab: Lab) -> None:
    ask(lab, "What does a GPU gain?", *SHORT)
    shown = lab.json("runs", "show", "last")
    reasons = {one["reason"] for one in shown["excluded"] if "exclude rule" not in one["reason"]}
    (reason,) = reasons
    assert reason in page("questions")
    measured = lab.rows("SELECT DISTINCT variant, runtime FROM v_cell WHERE metric = 'latency_ns' AND kind = 'measure'")
    assert {row["runtime"] for row in measured} == {"onnxruntime==1.24.4"}
    assert {row["variant"] for row in measured} == {"fp32", "int8"}


def test_versions_of_a_runtime_are_cells_of_one_table(lab: Lab) -> None:
    # The page tells that OpenVINO is refused for int8.
    ask(lab, "Does another version of a runtime change anything?", *SHORT, ends=ExitCode.INCOMPLETE)
    assert lab.rows("SELECT variant, runtime FROM v_missing") == [{"variant": "int8", "runtime": "openvino==2026.4.1"}]
    (group,) = lab.json("compare", "last", "--by", "runtime", "--base", "tflite-runtime==2.14.0")["groups"][:1]
    assert "ai-edge-litert==2.1.0" in {row["side"]["at"] for row in group["rows"]}


def test_programs_of_ones_own_run_as_their_page_says(lab: Lab) -> None:
    asked = [words for words in commands("exec") if words[0] == "benchfleet"]
    assert len(asked) - len(ELSEWHERE["exec"]) == 2
    for words in asked:
        if shlex.join(words) not in ELSEWHERE["exec"]:
            done = lab.run("run", str(REPOSITORY / words[2]), *SHORT)
            assert done.returncode == ExitCode.FINE, done.stderr
    told = {
        row["runtime"]: row["cells"]
        for row in lab.rows(
            "SELECT runtime, count(*) AS cells FROM v_cell"
            " WHERE metric = 'latency_ns' AND kind = 'measure' GROUP BY runtime"
        )
    }
    assert told == {"exec/read-model-sh": 4, "exec/read-model-c": 4}


QUESTIONS: dict[str, Callable[[Lab], None]] = {
    "Why is `predict` of Keras so much slower than TensorFlow Lite?": (
        test_predict_of_keras_is_set_beside_every_other_call
    ),
    "Why is one binding so much slower than another?": (
        test_a_binding_that_copies_element_by_element_is_set_beside_others_of_one_library
    ),
    "What does batching gain for a served model?": asked_of_mlserver,
    "What does the protocol of a served model cost?": test_one_saved_model_is_served_by_four_protocols,
    "What does compression gain on this board, and what does it cost?": (
        test_compression_is_a_table_of_size_accuracy_latency_and_memory
    ),
    "What does int8 cost, operator by operator?": test_int8_is_set_beside_float32_operator_by_operator,
    "Where do more threads stop helping?": test_threads_beyond_the_processors_are_left_out_and_named,
    "What does a GPU gain?": test_without_a_gpu_the_plan_says_what_is_missing_and_the_rest_runs,
    "Does another version of a runtime change anything?": test_versions_of_a_runtime_are_cells_of_one_table,
}
"""By heading of the page: the test that executes the commands below the heading."""


def test_every_command_of_the_page_is_asked_by_a_test() -> None:
    assert set(QUESTIONS) == set(sections())
    assert len(commands("questions")) > 14
