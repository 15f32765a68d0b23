"""Speed that a broken calibration buys is called what it is, on a real model and a real runtime."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.domain.errors import ExitCode
from tests.lab import REPOSITORY, Lab

pytestmark = [pytest.mark.system, pytest.mark.network, pytest.mark.timeout(400)]


def test_a_broken_calibration_is_smaller_and_not_comparable(tmp_path: Path) -> None:
    """Its size is certain, and its accuracy too: the verdict depends on no chance of this machine's."""
    lab = Lab(tmp_path)
    lab.add_local("local")
    sweep = {
        "sweep": "bought",
        "model": str(REPOSITORY / "models" / "digits"),
        "variants": ["fp32", "int8", "int8-badcal"],
        "runtimes": ["tflite-runtime==2.14.0"],
        "matrix": {"threads": [1]},
        "trials": 2,
        "measure": {"runs_min": 20, "seconds_min": 0.05},
        "accuracy": {"dataset": "digits-test.npz", "metric": "top1"},
    }
    lab.write("sweep.yaml", json.dumps(sweep))
    done = lab.run("run", "sweep.yaml", timeout_s=300)
    assert done.returncode == ExitCode.FINE, done.stderr
    sizes = ("compare", "last", "--metric", "size")
    rows = {row["side"]["at"]: row for row in lab.json(*sizes)["groups"][0]["rows"]}
    assert rows["int8-badcal"]["side"]["accuracy"] == pytest.approx(0.76, abs=0.02)
    assert (rows["int8"]["verdict"], rows["int8"]["bought"]) == ("improved", None)
    assert (rows["int8-badcal"]["verdict"], rows["int8-badcal"]["word"]) == ("not-comparable", "less accurate")
    shown = lab.run(*sizes)
    assert "size_bytes was bought with accuracy: accuracy_top1 fell from 0.9833 to 0.76" in " ".join(
        shown.stdout.split()
    )
    allowed = {row["side"]["at"]: row for row in lab.json(*sizes, "--max-accuracy-loss", "0.5")["groups"][0]["rows"]}
    assert allowed["int8-badcal"]["verdict"] == "improved"
    assert lab.run(*sizes, "--fail-on-regression").returncode == ExitCode.REGRESSION
