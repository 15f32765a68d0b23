"""YAML recipes make real files with TensorFlow, tensorflow-model-optimization and ONNX Runtime's quantiser."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import uv

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.model import Format
from orchestrator.services.models.build import build
from orchestrator.specs.model import load_model

MODELS = Path(__file__).parents[2] / "models"
TOOLS = ("onnxruntime", "tensorflow", "tensorflow_model_optimization", "tf_keras")
pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not all(map(find_spec, TOOLS)), reason="recipes need pip install 'benchfleet[convert]'"),
]

RECIPE = """\
recipe: small
description: Networks that have hardly learnt anything.
task: classification
data: {train: digits-train.npz, test: digits-test.npz}
variants:
  fp32: {network: student.py, train: {epochs: 2, batch: 128, learning_rate: 0.01}}
  pruned: {parent: fp32, prune: {sparsity: 0.5}, train: {epochs: 1, batch: 256}}
  qat: {parent: fp32, quantisation_aware: true, train: {epochs: 1, batch: 256}, quantise: int8, samples: 20}
  onnx: {network: digits-fp32.onnx}
  onnx-int8: {parent: onnx, quantise: int8, samples: 50}
"""


def test_a_recipe_makes_a_model_and_later_only_what_has_changed(tmp_path: Path) -> None:
    home, steps = tmp_path / "small", tmp_path / "steps"
    home.mkdir()
    for name in ("student.py", "digits-train.npz", "digits-test.npz"):
        shutil.copy(MODELS / "compressed" / name, home)
    shutil.copy(MODELS / "digits" / "digits-fp32.onnx", home)
    recipe = home / "recipe.yaml"
    recipe.write_text(RECIPE)
    built = build(recipe, lambda _line: None, steps)
    assert {one.old_sha256 for one in built.variants} == {None}
    model = load_model(home)
    assert {one.parent for one in model.variants.values()} == {None, "fp32", "onnx"}
    assert model.variants["onnx-int8"].artifacts[0].format is Format.ONNX
    assert model.variants["onnx-int8"].accuracy["top1"] > 0.9
    assert model.variants["qat"].precision == "int8"
    assert "pruned to 50% of zeros" in model.variants["pruned"].made
    assert "by onnxruntime " in model.variants["onnx-int8"].made

    recipe.write_text(
        RECIPE.replace(
            "onnx-int8: {parent: onnx, quantise: int8, samples: 50}",
            "onnx-int8: {parent: onnx, quantise: int8, samples: 60}",
        )
    )
    said: list[str] = []
    again = build(home, said.append, steps)
    made = [line for line in said if line.startswith(tuple(f"{name}: " for name in model.variants))]
    assert [line for line in made if not line.endswith(": as before")] == ["onnx-int8: converting (int8)"]
    assert {one.name for one in again.variants if one.changed} <= {"onnx-int8"}


@pytest.fixture
def further_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the tools of further formats into a folder: they are no part of the extra."""
    folder = tmp_path / "tools"
    install = [uv.find_uv_bin(), "pip", "install", "--quiet", "--python", sys.executable, "--target", str(folder)]
    # pnnx requires PyTorch, which its program does not need.
    for packages in (["openvino==2026.4.1", "ncnn==1.0.20261020"], ["--no-deps", "pnnx==20261020"]):
        done = subprocess.run([*install, "--only-binary", ":all:", *packages], capture_output=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"{' '.join(packages)} cannot be installed here: {done.stderr.decode()[-300:]}")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


FURTHER = """\
recipe: further
description: One network for four runtimes.
task: classification
data: {test: digits-test.npz}
variants:
  fp32: {network: digits-fp32.onnx, also: [openvino, ncnn]}
"""


def test_a_network_is_written_and_scored_for_openvino_and_ncnn(
    tmp_path: Path, further_tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, steps = tmp_path / "further", tmp_path / "steps"
    home.mkdir()
    for name in ("digits-fp32.onnx", "digits-test.npz"):
        shutil.copy(MODELS / "digits" / name, home)
    (home / "recipe.yaml").write_text(FURTHER)
    said: list[str] = []
    build(home / "recipe.yaml", said.append, steps)
    assert not [line for line in said if "not scored" in line]
    model = load_model(home)
    assert model.variants["fp32"].accuracy == {"top1": pytest.approx(0.9833, abs=1e-4)}
    formats = {one.format: one for one in model.variants["fp32"].artifacts}
    assert list(formats) == [Format.ONNX, Format.OPENVINO, Format.NCNN]
    with zipfile.ZipFile(formats[Format.OPENVINO].path) as archive:
        assert archive.namelist() == ["model.bin", "model.xml"]
        assert str(tmp_path).encode() not in archive.read("model.xml")
    with zipfile.ZipFile(formats[Format.NCNN].path) as archive:
        assert archive.namelist() == ["model.ncnn.bin", "model.ncnn.param"]
    # What is scored once is scored by the written file itself, and a second build makes nothing again.
    scores = [one.read_text() for one in sorted(steps.glob("*/score.json"))]
    assert len(scores) == 3
    assert all("0.983" in one for one in scores)
    again = build(home, said.append, steps)
    assert not [one.name for one in again.variants if one.changed]

    monkeypatch.delenv("PYTHONPATH")
    with pytest.raises(ConfigError, match=r"pnnx|openvino"):
        build(home, said.append, tmp_path / "other-steps")


def test_networks_of_keras_3_and_saved_models_are_converted_as_they_are(tmp_path: Path) -> None:
    home = tmp_path / "audio"
    home.mkdir()
    for name in ("audio.keras", "audio-saved-model.tar"):
        shutil.copy(MODELS / "audio" / name, home)
    (home / "recipe.yaml").write_text(
        "recipe: audio\ndescription: A CNN.\ntask: latency-only\nvariants:\n"
        "  keras: {network: audio.keras}\n  saved: {network: audio-saved-model.tar, quantise: fp16}\n"
    )
    build(home / "recipe.yaml", lambda _line: None)
    assert {name: one.precision for name, one in load_model(home).variants.items()} == {
        "keras": "fp32",
        "saved": "fp16",
    }
