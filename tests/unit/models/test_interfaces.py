"""What a model file takes and gives is read from the file."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.interface import Interface, Tensor
from orchestrator.domain.model import Format
from orchestrator.models.described import read_file
from orchestrator.models.onnx import read_onnx
from orchestrator.models.saved_model import read_saved_model
from orchestrator.models.tflite import read_tflite
from orchestrator.models.window import Malformed, Window
from tests.model_files import FLOAT32, onnx_of, saved_model_of, sum_of

MODELS = Path(__file__).parents[3] / "models"
IMAGE, CLASSES = "serving_default_image:0", "StatefulPartitionedCall_1:0"


def read(path: Path) -> Interface:
    with path.open("rb") as file:
        return (read_tflite if path.suffix == ".tflite" else read_onnx)(Window(file))


@pytest.mark.parametrize(
    ("variant", "dtype"), [("fp32", "float32"), ("fp16", "float32"), ("dynamic", "float32"), ("int8", "int8")]
)
def test_each_variant_of_the_digits_says_its_type_and_precision(variant: str, dtype: str) -> None:
    found = read(MODELS / "digits" / f"digits-{variant}.tflite")
    assert found == Interface((Tensor(IMAGE, (1, 8, 8, 1), dtype),), (Tensor(CLASSES, (1, 10), dtype),), variant)


def test_an_onnx_file_says_the_same() -> None:
    found = read(MODELS / "digits" / "digits-fp32.onnx")
    assert found == Interface(
        (Tensor("image", (1, 8, 8, 1), "float32"),), (Tensor("probabilities", (1, 10), "float32"),), "fp32"
    )


def test_every_input_of_a_model_of_several_is_described(tmp_path: Path) -> None:
    pytest.importorskip("flatbuffers")
    (tmp_path / "sum.tflite").write_bytes(
        sum_of([("a", (1, 4), FLOAT32), ("b", (-1, 4), FLOAT32), ("größe", (), FLOAT32)], ("sum", (-1, 4), FLOAT32))
    )
    found = read(tmp_path / "sum.tflite")
    assert found.inputs == (
        Tensor("a", (1, 4), "float32"), Tensor("b", (None, 4), "float32"), Tensor("größe", (), "float32")
    )  # fmt: skip
    assert found.outputs == (Tensor("sum", (None, 4), "float32"),)
    assert found.precision == "unknown"


def test_every_input_of_an_onnx_file_is_described_and_its_weights_are_none(tmp_path: Path) -> None:
    content = onnx_of([("ids", (-1, 128), 7), ("mask", (-1, 128), 9)], ("logits", (-1, 2), 1), [("table", (9, 4), 10)])
    (tmp_path / "bert.onnx").write_bytes(content)
    assert read(tmp_path / "bert.onnx") == Interface(
        (Tensor("ids", (None, 128), "int64"), Tensor("mask", (None, 128), "bool")),
        (Tensor("logits", (None, 2), "float32"),),
        "fp16",
    )


def test_a_saved_model_says_what_its_signature_for_serving_takes_and_gives(tmp_path: Path) -> None:
    # By name, since a map has no order: 1 is float32, 9 int64, 10 bool.
    content = saved_model_of([("mask", (-1, 128), 10), ("ids", (-1, 128), 9)], [("logits", (-1, 2), 1), ("n", (), 9)])
    assert read_bytes(tmp_path, content) == Interface(
        (Tensor("ids", (None, 128), "int64"), Tensor("mask", (None, 128), "bool")),
        (Tensor("logits", (None, 2), "float32"), Tensor("n", (), "int64")),
        "unknown",
    )


def test_the_graph_and_the_signature_of_people_are_taken(tmp_path: Path) -> None:
    training = saved_model_of([("a", (1,), 1)], [], tag="train")
    serving = saved_model_of([("b", (1,), 1)], [], signature="predict")
    # Messages of one kind behind each other are one message with the fields of both.
    assert [one.name for one in read_bytes(tmp_path, training + serving).inputs] == ["b"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it has no graph"),
        (saved_model_of([], []), "neither inputs nor outputs"),
        (saved_model_of([("a", (1,), 1)], [], signature="__saved_model_init_op"), "it has no signature"),
        (b"\x12\xff\xff\xff\x7f", "Protocol Buffers"),
    ],
)
def test_what_is_no_saved_model_is_told(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(Malformed, match=words):
        read_bytes(tmp_path, content)


def test_a_saved_model_cut_off_anywhere_is_malformed(tmp_path: Path) -> None:
    whole = saved_model_of([("image", (1, 8, 8, 1), 1)], [("classes", (1, 10), 1)])
    for size in range(3, len(whole)):
        with pytest.raises(Malformed):
            read_bytes(tmp_path, whole[:size])


def read_bytes(folder: Path, content: bytes) -> Interface:
    (folder / "saved_model.pb").write_bytes(content)
    with (folder / "saved_model.pb").open("rb") as file:
        return read_saved_model(Window(file))


def test_weights_in_a_further_file_are_told_before_the_file_is_taken_for_a_model(tmp_path: Path) -> None:
    content = onnx_of([("x", (1, 4), 1)], ("y", (1, 4), 1), [("w", (4, 4), 1)], outside="model.onnx.data")
    (tmp_path / "large.onnx").write_bytes(content)
    with pytest.raises(ConfigError, match=r"the weights lie in a further file, 'model.onnx.data'") as caught:
        read_file(tmp_path / "large.onnx", Format.ONNX)
    assert "in one file" in (caught.value.hint or "")
    assert "Git LFS" not in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["digits-fp32.tflite", "digits-fp32.onnx"])
def test_a_file_cut_off_anywhere_is_malformed_or_still_says_the_same(name: str, tmp_path: Path) -> None:
    whole = (MODELS / "digits" / name).read_bytes()
    right = read(MODELS / "digits" / name)
    cut = tmp_path / name
    refused = 0
    for size in range(0, len(whole), 509):
        cut.write_bytes(whole[:size])
        try:
            found = read(cut)
        except Malformed:
            refused += 1
        else:
            assert found.inputs == right.inputs
    assert refused > 10


def test_a_vector_without_end_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.tflite").write_bytes(
        struct.pack("<I4sHHHHHHiI", 20, b"TFL3", 10, 8, 0, 0, 4, 0, 12, 1) + b"\xff" * 9
    )
    with pytest.raises(Malformed):
        read(tmp_path / "a.tflite")
