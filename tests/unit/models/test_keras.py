"""Inputs of Keras files, read without Keras."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.interface import Tensor
from orchestrator.models.keras import read_keras
from orchestrator.models.window import Malformed, Window

AUDIO = Path(__file__).parents[3] / "models" / "audio" / "audio.keras"


def keras_of(config: Any, member: str = "config.json") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(member, config if isinstance(config, str) else json.dumps(config))
    return packed.getvalue()


def network(*layers: dict[str, Any], kind: str = "Functional", **further: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"layers": [{"config": one} for one in layers], **further}}


def read(path: Path, content: bytes) -> tuple[Tensor, ...]:
    path.write_bytes(content)
    with path.open("rb") as file:
        return read_keras(Window(file)).inputs


def test_a_file_of_keras_3_says_what_it_takes() -> None:
    with AUDIO.open("rb") as file:
        found = read_keras(Window(file))
    assert found.inputs == (Tensor("spectrogram", (None, 43, 40, 1), "float32"),)
    assert (found.outputs, found.precision) == ((), "unknown")


def test_several_inputs_come_in_the_order_in_which_the_network_takes_them(tmp_path: Path) -> None:
    first = {"name": "a", "batch_shape": [None, 3], "dtype": {"config": {"name": "float16"}}}
    second = {"name": "b", "batch_input_shape": [None, 2, 2], "dtype": "int32"}
    hidden = {"name": "dense", "units": 4}
    model = network(first, second, hidden, input_layers=[["b", 0, 0], ["a", 0, 0]])
    assert read(tmp_path / "a.keras", keras_of(model)) == (
        Tensor("b", (None, 2, 2), "int32"),
        Tensor("a", (None, 3), "float16"),
    )


def test_an_hdf5_file_has_the_same_words_as_an_attribute(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.21.0"
        file.create_group("model_weights").create_dataset("kernel", data=list(range(4000)))
        layer = {"name": "image", "batch_input_shape": [None, 8, 8, 1], "dtype": "float32"}
        file.attrs["model_config"] = json.dumps(network(layer, kind="Sequential")).encode()
    with path.open("rb") as file:
        assert read_keras(Window(file)).inputs == (Tensor("image", (None, 8, 8, 1), "float32"),)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (keras_of("{}", member="other.json"), "no zip with a config.json"),
        (keras_of("{"), "no zip with a config.json"),
        (keras_of("[]"), "it lists no layers"),
        (keras_of({"config": {"layers": {}}}), "it lists no layers"),
        (keras_of(network({"name": "dense", "units": 1})), "its layers name no input"),
        (keras_of(network({"name": "a", "batch_shape": "x"})), "its layers name no input"),
        (keras_of("[" * 100_000), "no zip with a config.json"),
    ],
)
def test_whatever_is_no_network_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(Malformed, match=words):
        read(tmp_path / "a.keras", content)
