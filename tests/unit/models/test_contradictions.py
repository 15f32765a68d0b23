from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.domain.model import Artifact, Format, Model, ModelInput
from orchestrator.models.contradictions import contradiction
from orchestrator.specs.model import load_model
from tests.lab import REPOSITORY
from tests.model_files import onnx_of

INT32, FLOAT = 6, 1
IMAGE = ModelInput((1, 8, 8, 3), "float32", 0, 1)


def said(folder: Path, given: ModelInput, inputs: Mapping[str, ModelInput] | None = None) -> str | None:
    """Return what contradicts a file with an image of open height, and with numbers of words."""
    content = onnx_of([("image", (1, -1, 8, 3), FLOAT), ("words", (1, 4), INT32)], ("y", (1, 2), FLOAT))
    (folder / "m.onnx").write_bytes(content)
    model = Model("m", str(folder), "", "", given, {}, inputs=inputs or {})
    return contradiction(model, Artifact(Format.ONNX, str(folder / "m.onnx"), "0" * 64))


def test_every_variant_of_a_shipped_model_is_what_its_model_yaml_declares() -> None:
    model = load_model(REPOSITORY / "models" / "digits", verify=False)
    artifacts = [one for variant in model.variants.values() for one in variant.artifacts]
    assert [contradiction(model, one) for one in artifacts] == [None] * len(artifacts)
    assert len(artifacts) >= 5


def test_shape_dtype_and_name_are_held_against_the_file(tmp_path: Path) -> None:
    words = ModelInput((1, 4), "int32", 0, 9)
    assert said(tmp_path, IMAGE, {"words": words}) is None
    wide = ModelInput((1, 8, 9, 3), "float32", 0, 1)
    assert said(tmp_path, wide, {"words": words}) == (
        "input 'image' of m.onnx is [1, ?, 8, 3], and model.yaml declares [1, 8, 9, 3]"
    )
    assert said(tmp_path, IMAGE, {"words": ModelInput((1, 4), "float32", 0, 9)}) == (
        "input 'words' of m.onnx is int32, and model.yaml declares float32"
    )
    assert said(tmp_path, IMAGE, {"wörds": words}) == (
        "model.yaml declares an input 'wörds', and m.onnx has 'image', 'words'"
    )


@pytest.mark.parametrize("form", [Format.OTHER, Format.ONNX, Format.TFLITE])
def test_what_has_no_reader_or_is_no_model_contradicts_nothing(tmp_path: Path, form: Format) -> None:
    (tmp_path / "m.bin").write_bytes(b"mine")
    model = Model("m", str(tmp_path), "", "", IMAGE, {})
    assert contradiction(model, Artifact(form, str(tmp_path / "m.bin"), "0" * 64)) is None
