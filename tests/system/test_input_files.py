"""Inputs that model.yaml takes from files: shipped once, part of what a cell is, and carried along with the model."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from orchestrator.domain.errors import ExitCode
from tests.lab import REPOSITORY, Lab

pytestmark = [pytest.mark.system, pytest.mark.network, pytest.mark.timeout(400)]

DRAWN = "input: {shape: [1, 8, 8, 1], dtype: float32, low: 0.0, high: 1.0}"
TAKEN = "input: {shape: [1, 8, 8, 1], dtype: float32, file: inputs/images.npy}"
PROGRAM = """\
import json, os
files = [name for name in os.listdir(".") if name.startswith("input-")]
print(json.dumps({"metric": "latency_ns", "samples": [os.path.getsize(name) for name in files for _ in range(8)]}))
print(json.dumps({"done": True}))
"""
BRIEF = {"warmup": {"runs_min": 1, "seconds_min": 0.0}, "runs_min": 5, "seconds_min": 0.0, "seconds_max": 5}


def images(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    with np.load(REPOSITORY / "models" / "digits" / "digits-test.npz") as data:
        found: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = data["x"][:count]
        return found


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path)
    made.add_local("here")
    digits = Path(shutil.copytree(REPOSITORY / "models" / "digits", tmp_path / "digits"))
    (digits / "inputs").mkdir()
    np.save(digits / "inputs" / "images.npy", images(6))
    model = digits / "model.yaml"
    assert DRAWN in model.read_text()
    model.write_text(model.read_text().replace(DRAWN, TAKEN))
    made.write("count.py", PROGRAM)
    return made


def swept(lab: Lab) -> Path:
    program = {"exec": {"name": "counts", "command": ["python3", "count.py"], "files": ["count.py"]}}
    return lab.write_exec_sweep(
        name="taken",
        model="digits",
        variants=["fp32"],
        runtimes=["ai-edge-litert==2.3.0", "onnxruntime==1.20.1", program],
        trials=1,
        measure=BRIEF,
    )


def test_files_of_inputs_are_fed_are_part_of_a_cell_and_go_with_it(lab: Lab, tmp_path: Path) -> None:
    sweep, array = swept(lab), lab.directory / "digits" / "inputs" / "images.npy"
    done = lab.run("run", str(sweep), timeout_s=300)
    assert done.returncode == ExitCode.FINE, done.stderr
    content = hashlib.sha256(array.read_bytes()).hexdigest()
    kept = lab.rows("SELECT inputs, count FROM preflight_output")
    assert kept == [{"inputs": "file", "count": 6}] * 2
    reported = [row["runtime_reported"] for row in lab.rows("SELECT runtime_reported FROM attempt")]
    told = [json.loads(one) if isinstance(one, str) else one or {} for one in reported]
    assert [list(one["input_files"].values()) for one in told if "input_files" in one] == [[content]] * 4
    values = [row["value"] for row in lab.rows("SELECT value FROM measurement WHERE metric = 'latency_ns'")]
    assert array.stat().st_size in values, "a program has the file beside it"

    again = lab.run("run", str(sweep), "--missing", timeout_s=200)
    assert again.returncode == ExitCode.FINE, again.stderr
    assert len(lab.rows("SELECT id FROM run")) == 1, "nothing is left to measure"
    bundle = tmp_path / "cell"
    replayed = lab.run("replay", "last", "--cell", "runtime=exec/counts", "--out", str(bundle))
    assert replayed.returncode == ExitCode.FINE, replayed.stderr
    assert content in {hashlib.sha256(path.read_bytes()).hexdigest() for path in bundle.rglob("input-*")}

    np.save(array, images(7))
    changed = lab.run("run", str(sweep), "--missing", timeout_s=200)
    assert changed.returncode == ExitCode.FINE, changed.stderr
    assert sorted(row["count"] for row in lab.rows("SELECT count FROM preflight_output")) == [6, 6, 7, 7]
    builds = lab.rows("SELECT DISTINCT runtime_sha256 FROM measurement WHERE metric = 'set_input_ns'")
    assert len(builds) == 4, "other inputs are another build"


def test_a_file_of_another_shape_is_refused_before_any_device(lab: Lab) -> None:
    array = lab.directory / "digits" / "inputs" / "images.npy"
    np.save(array, images(6)[:, :7])
    refused = lab.run("run", str(swept(lab)))
    assert refused.returncode == ExitCode.USAGE
    assert "the file has an array of [6, 7, 8, 1], and the input is [1, 8, 8, 1]" in refused.stderr
    assert "model.yaml:" in refused.stderr
    model = lab.directory / "digits" / "model.yaml"
    model.write_text(model.read_text().replace(TAKEN, "input: {file: inputs/images.npy}"))
    planned = lab.run("plan", str(swept(lab)), timeout_s=200)
    assert "is [1, 8, 8, 1], and model.yaml declares [6, 7, 8, 1]" in planned.stdout.replace("\n", " ")
