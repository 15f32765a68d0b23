"""Recipes: what is refused, with file and line, before anything is imported or trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.domain.errors import ConfigError
from orchestrator.resources import shipped
from orchestrator.specs.recipe import load_recipe

HEAD = "recipe: r\ndescription: A network.\ntask: classification\n"
TEST = "data: {test: test.npz}\n"
DATA = "data: {train: train.npz}\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(HEAD + text)
    return path


def test_the_shipped_recipe_reads() -> None:
    found = load_recipe(shipped("models") / "compressed" / "recipe.yaml")
    assert found.variants["pruned-int8"].parent == "pruned"
    assert found.variants["distilled"].method == "distil"


def test_further_formats_are_for_networks_that_their_tools_read(tmp_path: Path) -> None:
    text = "variants:\n  a: {network: n.onnx, also: [openvino, ncnn]}\n  b: {parent: a, also: [ncnn]}\n"
    assert load_recipe(write(tmp_path, TEST + text)).variants["a"].also == ["openvino", "ncnn"]
    quantised = "variants:\n  a: {network: n.onnx, quantise: int8, also: [openvino]}\n"
    assert load_recipe(write(tmp_path, DATA + quantised)).variants["a"].also == ["openvino"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("variants:\n  a: {quantise: fp16}\n", "recipe.yaml:5: a has neither a parent nor a network"),
        (
            "variants:\n  a: {network: n.keras}\n  b: {parent: c}\n  c: {parent: a}\n",
            "6: there is no variant 'c' before",
        ),
        ("variants:\n  a: {network: n.keras, quantise: int8}\n", "5: a needs data"),
        (DATA + "variants:\n  a: {network: n.keras, prune: {sparsity: 0.5}}\n", "6: prune needs a training"),
        (
            DATA
            + "variants:\n  a: {network: n.py, prune: {sparsity: 0.5}, quantisation_aware: true, train: {epochs: 1}}\n",
            "prune and quantisation_aware at once",
        ),
        ("variants:\n  a: {network: ../n.keras}\n", "is not a path inside the model's folder"),
        ("variants:\n  a: {network: n.keras, quantise: int4}\n", "expected 'none', 'fp16'"),
        ("variants:\n  a: {network: n.keras, prune: {sparsity: 1.5}}\n", "must be less than 1"),
        ("variants:\n  a: {network: n.keras}\n  b: {parent: a, network: m.keras}\n", "is a student's"),
        (TEST + "variants:\n  a: {network: n.keras, also: [ncnn]}\n", "6: ncnn is made of an .onnx network"),
        (TEST + "variants:\n  a: {network: n.onnx, quantise: dynamic, also: [ncnn]}\n", "ncnn is made of an .onnx"),
        ("variants:\n  a: {network: n.onnx, also: [ncnn]}\n", "5: ncnn needs the sizes of the input"),
        (DATA + "variants:\n  a: {network: n.keras, quantise: int8, also: [openvino]}\n", "OpenVINO loses the scale"),
        ("variants:\n  a: {parent: b}\n  b: {parent: a}\n  c: {parent: a, also: [ncnn]}\n", "no variant 'b' before"),
        ("variants:\n  a: {network: n.onnx, also: [executorch]}\n", "expected 'openvino' or 'ncnn'"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused_with_file_and_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_recipe(write(tmp_path, text))
    assert words in str(refused.value)
