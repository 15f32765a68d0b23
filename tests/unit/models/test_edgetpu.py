"""Files that the EdgeTPU's compiler has made are known by their operator, from the bytes alone."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.domain.model import Artifact, Format
from orchestrator.models.contradictions import is_for_edgetpu
from orchestrator.models.tflite import custom_operators
from orchestrator.models.window import Malformed, Window
from orchestrator.resources import shipped
from tests.unit.domain.planning import MODEL

COMPILED = base64.b64decode(
    "GAAAAFRGTDMAAA4AFAAQAAwACAAAAAQADgAAABAAAAAcAAAA2AAAAAMAAAABAAAACAAAAAQABAAEAAAAAQAAABAAAAAMABQAEAAM"
    "AAgABAAMAAAAEAAAADwAAABAAAAARAAAAAEAAAAQAAAAAAAKAAwAAAAIAAQACgAAAAgAAAAMAAAAAQAAAAEAAAABAAAAAAAAAAEA"
    "AAABAAAAAQAAAAAAAAACAAAANAAAAAQAAADg////CAAAAAwAAAABAAAAeQAAAAIAAAABAAAABAAAAAwADAAIAAAAAAAEAAwAAAAI"
    "AAAADAAAAAEAAAB4AAAAAgAAAAEAAAAEAAAAAQAAABAAAAAMABAADwAIAAAABAAMAAAAIAAAAAgAAAAAAAAgEQAAAGVkZ2V0cHUt"
    "Y3VzdG9tLW9wAAAA"
)
"""What tests/worker/odd_models.py builds by TensorFlow's schema: one operator, `edgetpu-custom-op`."""


def artifact(folder: Path, content: bytes, form: Format = Format.TFLITE) -> Artifact:
    path = folder / f"one.{form}"
    path.write_bytes(content)
    return Artifact(form, str(path), hashlib.sha256(content).hexdigest())


def operators_of(path: Path) -> frozenset[str]:
    with path.open("rb") as file:
        return custom_operators(Window(file))


def test_the_operators_of_other_makers_are_named(tmp_path: Path) -> None:
    assert operators_of(Path(artifact(tmp_path, COMPILED).path)) == {"edgetpu-custom-op"}
    assert operators_of(shipped("models") / "digits" / "digits-int8.tflite") == frozenset()


@pytest.mark.parametrize("cut", [0, 4, 7, 30, 100, 200, len(COMPILED) - 20, len(COMPILED) - 5])
def test_a_file_that_was_cut_off_is_malformed(tmp_path: Path, cut: int) -> None:
    with pytest.raises(Malformed):
        operators_of(Path(artifact(tmp_path, COMPILED[:cut]).path))


def test_a_file_is_for_the_edgetpu_by_its_bytes_and_not_by_its_name(tmp_path: Path) -> None:
    model = replace(MODEL, directory=str(tmp_path))
    assert is_for_edgetpu(model, artifact(tmp_path, COMPILED))
    assert not is_for_edgetpu(model, artifact(tmp_path, b"TFL3 edgetpu-custom-op"))
    assert not is_for_edgetpu(model, artifact(tmp_path, COMPILED, Format.ONNX))
    assert not is_for_edgetpu(model, Artifact(Format.TFLITE, str(tmp_path / "gone.tflite"), "0" * 64))
