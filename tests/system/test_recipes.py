"""YAML recipes make real files with TensorFlow, tensorflow-model-optimization and ONNX Runtime's quantiser."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

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
