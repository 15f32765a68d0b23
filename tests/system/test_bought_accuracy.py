"""Speed that a broken calibration buys is called what it is, on a real model and a real runtime."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy
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
    assert rows["int8-badcal"]["side"]["clipped_ratio"] == pytest.approx(0.40, abs=0.02)
    share = f"{100 * rows['int8-badcal']['side']['clipped_ratio']:.3g} %"
    clipped = f"inputs clipped: {share} of their numbers here, none counted at the base"
    assert any(note.startswith(clipped) for note in rows["int8-badcal"]["notes"])
    assert (rows["int8"]["side"]["clipped_ratio"], rows["int8"]["notes"]) == (0.0, [])
    assert (rows["int8-badcal"]["verdict"], rows["int8-badcal"]["word"]) == ("not-comparable", "less accurate")
    shown = lab.run(*sizes)
    assert "size_bytes was bought with accuracy: accuracy_top1 fell from 0.9833 to 0.76" in " ".join(
        shown.stdout.split()
    )
    allowed = {row["side"]["at"]: row for row in lab.json(*sizes, "--max-accuracy-loss", "0.5")["groups"][0]["rows"]}
    assert allowed["int8-badcal"]["verdict"] == "improved"
    assert lab.run(*sizes, "--fail-on-regression").returncode == ExitCode.REGRESSION


def test_inputs_that_a_variant_cannot_hold_are_told_and_cost_the_accuracy_where_most_are_clipped(
    tmp_path: Path,
) -> None:
    """Raw pixels, in place of those that the digits were trained with; and images brighter than the calibration's."""
    lab = Lab(tmp_path)
    lab.add_local("local")
    home = tmp_path / "digits"
    shutil.copytree(REPOSITORY / "models" / "digits", home)
    with numpy.load(home / "digits-test.npz") as scaled:
        numpy.savez(home / "raw.npz", x=scaled["x"] * 255, y=scaled["y"])
    described = (home / "model.yaml").read_text(encoding="utf-8")
    sha256 = hashlib.sha256((home / "raw.npz").read_bytes()).hexdigest()
    raw = f"datasets:\n  raw.npz: {{sha256: {sha256}, samples: 360}}\n"
    (home / "model.yaml").write_text(described.replace("datasets:\n", raw), encoding="utf-8")
    shown = {}
    for dataset in ("digits-test.npz", "raw.npz"):
        sweep = {
            "sweep": "clipped",
            "model": str(home),
            "variants": ["int8", "int8-badcal"],
            "runtimes": ["tflite-runtime==2.14.0"],
            "matrix": {"threads": [1]},
            "trials": 1,
            "measure": {"runs_min": 20, "seconds_min": 0.05},
            "accuracy": {"dataset": dataset, "metric": "top1"},
        }
        lab.write("sweep.yaml", json.dumps(sweep))
        done = lab.run("run", "sweep.yaml", timeout_s=300)
        assert done.returncode == ExitCode.FINE, done.stderr
        shown[dataset] = lab.json("runs", "show", "last")
    accuracy = {
        name: {one["cell"]["variant"]: one["accuracy"] for one in run["results"]} for name, run in shown.items()
    }
    assert accuracy["digits-test.npz"] == {
        "int8": pytest.approx(0.983, abs=0.01),
        "int8-badcal": pytest.approx(0.761, abs=0.01),
    }
    (told,) = shown["digits-test.npz"]["remarks"]
    assert (told["kind"], "int8-badcal" in told["label"]) == ("inputs-saturated", True)
    assert "(int8) holds 0 to 0.25, and clips 39.5 % of its numbers, which reach from 0 to 1" in told["text"]
    assert accuracy["raw.npz"] == {"int8": None, "int8-badcal": None}
    assert all(one["trial_values"] for one in shown["raw.npz"]["results"]), "timed all the same"
    assert {one["kind"] for one in shown["raw.npz"]["remarks"]} == {"outputs-not-kept"}
    words = " ".join(lab.run("runs", "show", "last").stdout.split())
    assert "clips 51 % of its numbers, which reach from 0 to 255; scale x of the data set as the model" in words
    absent = lab.rows("SELECT DISTINCT reason FROM absent_metric WHERE metric = 'accuracy_top1' ORDER BY reason")
    assert [row["reason"] for row in absent] == sorted({one["text"] for one in shown["raw.npz"]["remarks"]})
