"""The sweeps of docs/questions.md run from this checkout to a table that answers."""

from __future__ import annotations

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
