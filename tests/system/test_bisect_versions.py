"""The version of a runtime that brought a regression is found by real runs of real wheels."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.domain.errors import ExitCode
from tests.lab import REPOSITORY, Lab
from tests.system.test_bisect import regression, runs, searched

pytestmark = [pytest.mark.system, pytest.mark.network, pytest.mark.timeout(600)]

SLOWER_SINCE = "2.13.0"
"""tflite-runtime runs the int8 variant of the digits 1.4 times as long as 2.12.0 does: 7.6 in place of 5.3 us."""


def older_python() -> str:
    """Return an interpreter with wheels of tflite-runtime 2.12.0 to 2.14.0, or skip the test."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for python in ("python3.9", *map(str, sorted(pyenv.glob("versions/3.9.*/bin/python")))):
        # A shim of pyenv for a version that is not selected is there, and fails.
        try:
            asked = subprocess.run(
                [python, "-c", "import sys; print(sys.executable, sys.version_info[:2])"],
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError:
            continue
        path, _space, version = asked.stdout.strip().partition(" ")
        if asked.returncode == 0 and version == "(3, 9)":
            return path
    pytest.skip("no Python 3.9 is installed, for which there are wheels of tflite-runtime 2.12.0")


def measured(lab: Lab, runtime: str) -> str:
    """Run the int8 variant on a runtime, and return the run."""
    sweep = {
        "sweep": "nightly",
        "model": str(REPOSITORY / "models" / "digits"),
        "variants": ["int8"],
        "runtimes": [runtime],
        "matrix": {"threads": [1]},
        "trials": 5,
        "measure": {"warmup": {"runs_min": 5, "seconds_min": 0.01}, "runs_min": 50, "seconds_min": 0.05},
    }
    done = lab.run("run", str(lab.write("nightly.yaml", json.dumps(sweep))), "--json", timeout_s=300)
    assert done.returncode == ExitCode.FINE, done.stdout + done.stderr
    return str(json.loads(done.stdout)["record"]["header"]["run"])


def test_the_version_that_made_a_model_slower_is_found_in_the_expected_number_of_steps(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.add_local("here", exclusive=False, python=older_python())
    found = regression(lab, measured(lab, "tflite-runtime==2.12.0"), measured(lab, "tflite-runtime==2.14.0"))
    versions = lab.write("versions.txt", f"# oldest first\n2.12.0\n{SLOWER_SINCE}\n2.14.0\n")
    shown = lab.run("bisect", str(found), "--candidates", str(versions), timeout_s=600)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert shown.stderr.startswith("3 candidates: at most 2 steps, each of 5 to 30 trials a side on here\n")
    assert f"first bad: {SLOWER_SINCE}, after 2.12.0" in shown.stdout
    known = runs(lab)
    answer = searched(lab, found, versions)
    assert runs(lab) == known, "every step is found again"
    assert (answer["outcome"], answer["replaces"], answer["steps_expected"]) == ("found", "runtime", 2)
    assert (answer["suspects"], answer["last_good"]) == ([SLOWER_SINCE], "2.12.0")
    assert {step["index"]: step["answer"] for step in answer["steps"]} == {2: "bad", 1: "bad"}
    ratios = [step["figures"]["ratio"] for step in answer["steps"]]
    assert all(1.2 < ratio < 1.8 for ratio in ratios), ratios


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="there are no wheels of tflite-runtime for this Python")
def test_versions_of_another_package_and_ones_without_a_wheel_are_candidates_too(tmp_path: Path) -> None:
    """LiteRT has other kernels of int8. A version that was never built for the device's Python cannot be judged."""
    lab = Lab(tmp_path)
    lab.add_local("here", exclusive=False)
    found = regression(lab, measured(lab, "ai-edge-litert==2.3.0"), measured(lab, "tflite-runtime==2.14.0"))
    versions = lab.write("versions.txt", "ai-edge-litert==2.3.0\n2.5.0\ntflite-runtime==2.14.0\n")
    answer = searched(lab, found, versions)
    assert answer["outcome"] == "found"
    assert answer["suspects"] == ["2.5.0", "tflite-runtime==2.14.0"]
    unjudged = next(step for step in answer["steps"] if step["index"] == 1)
    assert unjudged["answer"] == "unjudged"
    assert "no wheel of tflite-runtime 2.5.0" in unjudged["reason"]
