"""Settings that engines of ours know by words, and programs of people by any."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.domain.errors import ConfigError
from orchestrator.resources import shipped
from orchestrator.specs.reach import Reach
from orchestrator.specs.sweep import load_sweep

PROGRAM = {"exec": {"name": "mine", "command": ["sh"]}}


def write(folder: Path, runtime: object, **matrix: object) -> Path:
    model = str(shipped("models") / "digits")
    path = folder / "sweep.yaml"
    path.write_text(
        json.dumps({"sweep": "s", "model": model, "variants": ["fp32"], "runtimes": [runtime], "matrix": matrix})
    )
    return path


@pytest.mark.parametrize(
    ("runtime", "key", "words"),
    [
        ("tflite-runtime==2.14.0", "kernels", "expected one of xnnpack, builtin, reference, not fast"),
        ("openvino==2026.4.1", "precision", "expected one of none, f32, bf16, f16, int8, not fast"),
        ("onnxruntime==1.20.1", "kernels", "onnxruntime==1.20.1 has no setting 'kernels'"),
    ],
)
def test_a_word_that_the_engine_does_not_know_is_refused(tmp_path: Path, runtime: str, key: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_sweep(write(tmp_path, runtime, **{key: ["fast"]}), reach=Reach(shipped("models")))


def test_a_program_may_mean_anything(tmp_path: Path) -> None:
    found = load_sweep(write(tmp_path, PROGRAM, kernels=["fast"], precision=["int4"]), reach=Reach(shipped("models")))
    assert found.sweep.matrix["precision"] == ("int4",)
