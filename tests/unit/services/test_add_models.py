"""Model files are described without a question, and nothing is ever overwritten."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import pytest

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.model import Format
from orchestrator.models.described import sort_files
from orchestrator.services.models.add import add_models
from orchestrator.services.models.verify import verify_models
from orchestrator.services.runs.own import OwnSweepRequest, own_sweep
from orchestrator.specs.model import load_model
from tests.model_files import FLOAT32, onnx_of, saved_model_of, sum_of

DIGITS = Path(__file__).parents[3] / "models" / "digits"


def bring(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(exist_ok=True)
    return [Path(shutil.copy(DIGITS / name, folder / name)) for name in names]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_become_variants_of_one_model_with_what_the_files_say(tmp_path: Path) -> None:
    given = bring(tmp_path / "build", "digits-fp32.tflite", "digits-int8.tflite", "digits-fp32.onnx")
    (written,) = add_models(given, tmp_path / "models")
    assert written.path == tmp_path / "models" / "digits" / "model.yaml"
    model = load_model(written.path.parent)
    assert (model.name, model.input.shape, model.input.dtype) == ("digits", (1, 8, 8, 1), "float32")
    assert {name: (one.precision, list(one.formats)) for name, one in model.variants.items()} == {
        "fp32": ("fp32", [Format.TFLITE, Format.ONNX]),
        "int8": ("int8", [Format.TFLITE]),
    }
    assert all(check.ok for check in verify_models([model]))
    assert "# takes 'serving_default_image:0': int8 [1, 8, 8, 1]\n" in written.path.read_text()
    assert names_in(tmp_path / "models") == ["digits"]


def test_a_folder_is_described_in_place(tmp_path: Path) -> None:
    bring(tmp_path / "my face", "digits-fp32.tflite")
    (written,) = add_models([tmp_path / "my face"], tmp_path / "models")
    assert written.path == tmp_path / "my face" / "model.yaml"
    model = load_model(tmp_path / "my face")
    assert (model.name, list(model.variants)) == ("my-face", ["digits-fp32"])
    assert names_in(tmp_path / "my face") == ["digits-fp32.tflite", "model.yaml"]


SCHEMA_LINE = "# yaml-language-server: $schema="


def test_the_description_names_its_schema_by_a_path_that_exists(tmp_path: Path) -> None:
    given = bring(tmp_path / "build", "digits-fp32.tflite")
    (shipped,) = add_models(given, tmp_path / "elsewhere" / "models")
    named = Path(shipped.path.read_text().split("\n")[0].removeprefix(SCHEMA_LINE))
    assert named.is_absolute()
    assert named.is_file()
    # In a lab its own copy is named, by a path that means the same on every machine.
    (tmp_path / "schemas").mkdir()
    shutil.copy(named, tmp_path / "schemas")
    (own,) = add_models(given, tmp_path / "models")
    assert own.path.read_text().startswith(f"{SCHEMA_LINE}../../schemas/model.schema.json\n")


def saved_model(folder: Path) -> Path:
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(saved_model_of([("image", (-1, 8, 8, 1), 1)], [("classes", (-1, 10), 1)]))
    (folder / "variables" / "variables.index").write_bytes(b"weights")
    return folder


def test_a_saved_model_is_packed_and_described_by_its_signature(tmp_path: Path) -> None:
    net = saved_model(tmp_path / "net")
    (written,) = add_models([net], tmp_path / "models")
    model = load_model(written.path.parent)
    (artifact,) = model.variants["net"].artifacts
    assert (artifact.format, artifact.file_name) == (Format.SAVED_MODEL, "net.saved-model.zip")
    assert (model.input.shape, model.input.dtype) == ((1, 8, 8, 1), "float32")
    with zipfile.ZipFile(artifact.path) as packed:
        assert packed.namelist() == ["saved_model.pb", "variables/variables.index"]
    # The same folder at another time is the same content.
    os.utime(net / "saved_model.pb", (1, 1))
    assert add_models([net], tmp_path / "models") == (written,)


def test_a_saved_model_runs_by_its_signature_also_beside_models_of_smaller_runtimes(tmp_path: Path) -> None:
    def text_of(*paths: Path) -> str:
        return own_sweep(OwnSweepRequest(paths), tmp_path / "models", tmp_path / "cache").text

    net = saved_model(tmp_path / "net")
    alone = text_of(net)
    assert "runtimes: [tensorflow==2.21.0]" in alone
    assert "matrix: {call: [signature], threads: [1]}" in alone
    beside = text_of(net, *bring(tmp_path / "build", "digits-fp32.tflite"))
    assert "runtimes: [tflite-runtime==2.14.0, ai-edge-litert==2.3.0, tensorflow==2.21.0]" in beside
    assert "matrix: {call: [null, signature], threads: [1]}" in beside


def test_files_of_pytorch_are_described_and_run_by_the_pytorch_of_the_device(tmp_path: Path) -> None:
    written = Path(__file__).parents[1] / "models" / "torch-2.13"
    given = [
        Path(shutil.copy(written / name, tmp_path / f"net.{name.rpartition('.')[2]}"))
        for name in ("traced.pt", "graph.pt2")
    ]
    (made,) = add_models(given, tmp_path / "models")
    model = load_model(made.path.parent)
    assert [one.format for one in model.variants["net"].artifacts] == [Format.TORCH, Format.TORCH_EXPORT]
    assert {name: (one.shape, one.dtype) for name, one in model.inputs.items()} == {
        "rows": ((2, 3), "float32"),
        "ids": ((1, 4), "int32"),
    }
    text = own_sweep(OwnSweepRequest(given), tmp_path / "more", tmp_path / "cache").text
    assert "runtimes: [system/torch]" in text
    assert "matrix: {call: [jit, eager], threads: [1]}" in text
    scripted = Path(shutil.copy(written / "scripted.pt", tmp_path / "scripted.pt"))
    with pytest.raises(ConfigError, match="input 'rows' takes of any shape, and only a person knows the open sizes"):
        add_models([scripted], tmp_path / "models")


def test_a_saved_model_that_cannot_be_read_or_packed_is_refused_by_name(tmp_path: Path) -> None:
    net = saved_model(tmp_path / "net")
    (net / "link").symlink_to("/etc/hostname")
    with pytest.raises(ConfigError, match="net/link: neither a file nor a folder"):
        add_models([net], tmp_path / "models")
    (net / "saved_model.pb").write_bytes(b"version https://git-lfs")
    with pytest.raises(ConfigError, match=r"net/saved_model\.pb: no saved-model model: "):
        add_models([net], tmp_path / "models")
    assert names_in(tmp_path / "models") == []


def test_nothing_is_overwritten_and_the_same_again_is_no_mistake(tmp_path: Path) -> None:
    given = bring(tmp_path / "build", "digits-fp32.tflite")
    (first,) = add_models(given, tmp_path / "models")
    assert add_models(given, tmp_path / "models") == (first,)
    first.path.write_text(edited := first.path.read_text().replace("high: 1.0", "high: 255.0"))
    for again in (given, [first.path.parent]):
        with pytest.raises(ConfigError, match=r"model\.yaml is there already, with other content"):
            add_models(again, tmp_path / "models")
    assert first.path.read_text() == edited
    assert names_in(tmp_path / "models") == ["digits-fp32"]


def test_a_folder_without_a_description_is_not_filled_but_named(tmp_path: Path) -> None:
    given = bring(tmp_path / "build", "digits-fp32.tflite")
    (tmp_path / "models" / "digits-fp32").mkdir(parents=True)
    (tmp_path / "models" / "digits-fp32" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"digits-fp32 is there already, without a model\.yaml") as refused:
        add_models(given, tmp_path / "models")
    assert refused.value.hint is not None
    assert "models add" in refused.value.hint
    assert names_in(tmp_path / "models" / "digits-fp32") == ["notes.txt"]


def test_every_input_of_a_model_of_several_stands_in_its_description(tmp_path: Path) -> None:
    pytest.importorskip("flatbuffers")
    (tmp_path / "sum.tflite").write_bytes(
        sum_of([("a\n# b", (), FLOAT32), ("größe", (-1, 4), FLOAT32)], ("d", (-1, 4), FLOAT32))
    )
    (written,) = add_models([tmp_path / "sum.tflite"], tmp_path / "models")
    text = written.path.read_text()
    assert (
        "# takes 'a\\n# b': float32 []\n      # takes 'größe': float32 [?, 4]\n      # gives 'd': float32 [?, 4]\n"
        in text
    )
    model = load_model(written.path.parent)
    assert model.input.shape == ()
    assert {name: one.shape for name, one in model.inputs.items()} == {"größe": (1, 4)}


@pytest.mark.parametrize("shape", [(1, -1, -1, 3), (-1, -1), (1, 0, 3)])
def test_sizes_that_the_file_leaves_open_are_asked_for_and_never_guessed(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    """At 1x1 pixels an image model was timed a thousand times too fast."""
    (tmp_path / "image.onnx").write_bytes(onnx_of([("image", shape, 1)], ("y", (1,), 1)))
    with pytest.raises(ConfigError, match=r"image\.onnx: input 'image' takes \[.*only a person knows") as refused:
        add_models([tmp_path / "image.onnx"], tmp_path / "models")
    assert refused.value.hint is not None
    assert "input: {shape: [1, 224, 224, 3]" in refused.value.hint
    assert not list(tmp_path.glob("models/*"))


@pytest.mark.parametrize("name", ["null.onnx", "1e3.onnx", "déjà vu.onnx", ".-.onnx.onnx", "a" * 90 + ".onnx"])
def test_a_file_of_any_name_gives_a_model_that_loads(name: str, tmp_path: Path) -> None:
    if name.startswith("."):
        name = name[1:]
    (tmp_path / name).write_bytes(onnx_of([("x", (2,), 1)], ("y", (2,), 1)))
    (written,) = add_models([tmp_path / name], tmp_path / "models")
    assert len(load_model(written.path.parent).variants) == 1


@pytest.mark.parametrize(
    ("stems", "model", "variants"),
    [
        (["face"], "face", ["face"]),
        (["digits-fp16", "digits-fp32"], "digits", ["fp16", "fp32"]),
        (["my-face", "my-face-int8"], "my-face", ["my-face", "int8"]),
        (["face1", "face2"], "face1", ["face1", "face2"]),
        (["a", "b"], "a", ["a", "b"]),
    ],
)
def test_names_of_files_say_model_and_variants(stems: list[str], model: str, variants: list[str]) -> None:
    found = sort_files([Path(f"{stem}.tflite") for stem in stems])
    assert (found.name, list(found.files)) == (model, variants)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.tflite", b"TFL3 this is no flat buffer" * 10, "no tflite model: it does not begin as"),
        ("a.tflite", b"\x1c\0\0\0TFL3" + b"\xff" * 40, "no tflite model: a part lies outside of the file"),
        ("a.tflite", b"", "no tflite model"),
        ("a.onnx", b"\xff" * 100, "no onnx model: it is not written in Protocol Buffers"),
        ("a.onnx", b"", "no onnx model: it has no graph"),
        ("a.onnx", onnx_of([("words", (1,), 8)], ("y", (1,), 1)), "no input that random numbers can fill"),
        ("a.pte", b"", "only .tflite, .onnx, .keras, .h5, .pt and .pt2 files can be described"),
        ("a.pt", b"PK no zip", "no torch model: it is no zip archive, as PyTorch writes since version 1.6"),
        ("a.pt2", b"", "no torch-export model: it is no zip archive"),
        ("a.keras", b"PK no zip", "no keras model: it is no zip with a config.json, as Keras writes"),
        ("a.h5", b"\x89HDF\r\n\x1a\n" + bytes(100), "no keras model: it holds no description of layers"),
    ],
)
def test_what_cannot_be_described_is_named_and_nothing_is_left(
    name: str, content: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        add_models([path], tmp_path / "models")
    assert refused.value.message.startswith(f"{path}: ")
    assert words in refused.value.message
    assert refused.value.hint is not None
    assert not list(tmp_path.glob("models/*"))


def test_a_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'a\\udcff\.tflite': a name that no model\.yaml can hold"):
        sort_files([Path(os.fsdecode(b"a\xff.tflite"))])


def test_two_files_of_one_variant_and_format_are_refused(tmp_path: Path) -> None:
    (one,), (other,) = (bring(tmp_path / folder, "digits-fp32.tflite") for folder in ("a", "b"))
    with pytest.raises(ConfigError, match="would both be the variant digits-fp32"):
        add_models([one, other], tmp_path / "models")


def test_a_missing_file_an_empty_folder_and_a_pipe_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.tflite")
    for path in (tmp_path / "none.tflite", tmp_path / "empty", tmp_path / "pipe.tflite"):
        with pytest.raises(ConfigError) as refused:
            add_models([path], tmp_path / "models")
        assert refused.value.message.startswith(f"{path}: ")
