from __future__ import annotations

import io
import os
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.model import ModelInput
from orchestrator.specs.array_file import BYTES_MAX, ArrayHeader, BadArrayFile, read_header
from orchestrator.specs.model import load_model

TINY = Path(__file__).parents[2] / "contract" / "specs" / "models" / "tiny"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "models" / "tiny"))


def declare(tiny: Path, text: str) -> None:
    """Declare an input `x` beside the model's."""
    model = tiny / "model.yaml"
    model.write_text(model.read_text() + f"\ninputs: {{x: {text}}}\n")


def refusal(tiny: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_model(tiny)
    return f"{caught.value.message} ({caught.value.hint})"


def test_a_file_tells_shape_and_type_of_an_input(tiny: Path) -> None:
    np.save(tiny / "x.npy", np.zeros((2, 3), "int64"))
    declare(tiny, "{file: x.npy}")
    assert load_model(tiny).inputs["x"] == ModelInput((2, 3), "int64", file=str(tiny / "x.npy"))
    assert load_model(tiny).takes_files


def test_a_file_may_hold_several_inputs_in_a_row_and_other_widths(tiny: Path) -> None:
    np.savez(tiny / "all.npz", x=np.zeros((5, 1, 4), "float64"), y=np.zeros(1))
    declare(tiny, "{shape: [1, 4], dtype: float32, file: all.npz}")
    assert load_model(tiny).inputs["x"] == ModelInput((1, 4), "float32", file=str(tiny / "all.npz"))


def test_a_file_that_is_gone_is_needed_to_measure_or_to_tell_the_shape(tiny: Path) -> None:
    declare(tiny, "{shape: [1, 4], dtype: float32, file: gone.npy}")
    assert load_model(tiny, verify=False).inputs["x"].shape == (1, 4)
    assert "gone.npy cannot be read" in refusal(tiny)
    model = tiny / "model.yaml"
    model.write_text(
        model.read_text().replace("shape: [1, 4], ", "").replace("dtype: float32, file: gone", "file: gone")
    )
    with pytest.raises(ConfigError, match=r"gone\.npy cannot be read"):
        load_model(tiny, verify=False)


def test_text_needs_no_range(tiny: Path) -> None:
    declare(tiny, "{shape: [1], dtype: string}")
    assert load_model(tiny).inputs["x"] == ModelInput((1,), "string")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{shape: [1], dtype: float32}", "missing key 'high' in inputs.x"),
        ("{low: 0, high: 1}", "missing key 'shape' in inputs.x"),
        ("{file: x.npy, low: 0.0}", "inputs.x has `file`, and 'low' beside it (keep one of the two)"),
        ("{file: x.npy, from_output: y}", "inputs.x has `file`, and 'from_output' beside it"),
        ("{file: ../x.npy}", "'../x.npy' is not a path inside the model's folder"),
        ("{file: /x.npy}", "'/x.npy' is not a path inside the model's folder"),
        ("{file: gone.npy}", "gone.npy cannot be read: No such file or directory"),
        ("{shape: [4], dtype: float32, file: x.npy}", "has an array of [2, 3], and the input is [4]"),
        ("{shape: [2, 3], dtype: string, file: x.npy}", "has float32, and the input is string"),
        ("{shape: [2, 3], dtype: int8, file: x.npy}", "(save the array as that: x.astype('int8'))"),
        ("{file: link.npy}", "is outside of the folders"),
        ("{file: memory.npy}", "is the state of this machine: nothing below /proc is sent to a device"),
        ("{file: .hidden.npy}", "is hidden"),
        ("{file: pipe.npy}", "not a regular file"),
        ("{file: several.npz}", "has 'a', 'b', and no array 'x'"),
    ],
)
def test_what_a_declaration_lacks_and_which_files_may_not_be_sent_is_told(
    tiny: Path, tmp_path: Path, text: str, message: str
) -> None:
    for path in (tiny / "x.npy", tiny / ".hidden.npy", tmp_path / "outside.npy"):
        np.save(path, np.zeros((2, 3), "float32"))
    np.savez(tiny / "several.npz", a=np.zeros(1), b=np.zeros(1))
    (tiny / "link.npy").symlink_to(tmp_path / "outside.npy")
    (tiny / "memory.npy").symlink_to("/proc/self/environ")
    os.mkfifo(tiny / "pipe.npy")
    declare(tiny, text)
    said = refusal(tiny)
    assert message in said
    assert f"{tiny}/model.yaml:" in said


def header_of(path: Path, content: bytes, name: str | None = None) -> ArrayHeader:
    path.write_bytes(content)
    with path.open("rb") as file:
        return read_header(file, name)


def saved(array: object) -> bytes:
    content = io.BytesIO()
    np.save(content, np.asarray(array))
    return content.getvalue()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((), "float64"),
        np.zeros((1, 2, 3), ">f4"),
        np.asfortranarray(np.zeros((4, 5), "int16")),
        np.zeros(3, "bool"),
        np.zeros((2, 2), "uint8"),
        np.zeros(70_000, "float16"),
        np.array([["ja", "neun"]]),
        np.array([b"abc"]),
    ],
)
def test_headers_are_read_as_numpy_writes_them(tmp_path: Path, array: np.ndarray[tuple[int, ...], np.dtype]) -> None:
    dtype = "string" if array.dtype.kind in "SU" else array.dtype.name
    assert header_of(tmp_path / "x", saved(array)) == ArrayHeader(array.shape, dtype)
    packed = io.BytesIO()
    np.savez_compressed(packed, x=array, other=np.zeros(1))
    assert header_of(tmp_path / "x", packed.getvalue(), "x") == ArrayHeader(array.shape, dtype)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 4)), "the array is empty"),
        (np.zeros(2, "complex64"), "is of '<c8', and inputs are numbers"),
        (np.zeros(2, [("a", "f4")]), "and inputs are numbers, truth values or text"),
        (np.zeros(2, "datetime64[s]"), "and inputs are numbers, truth values or text"),
    ],
)
def test_arrays_that_no_model_is_fed_with_are_refused(tmp_path: Path, array: object, message: str) -> None:
    with pytest.raises(BadArrayFile, match=message.replace("[", r"\[")):
        header_of(tmp_path / "x", saved(array))


def test_an_array_of_objects_is_never_unpickled(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.save(content, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(BadArrayFile, match="inputs are numbers, truth values or text"):
        header_of(tmp_path / "x", content.getvalue())


def forged(header: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def zipped(name: str, content: bytes, count: int = 1) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for place in range(count):
            archive.writestr(f"{name}{place or ''}.npy", content)
    return packed.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"no array at all",
        saved(np.zeros(4))[:-1],
        saved(np.zeros(4)) + b"more",
        forged(b"{" * 9_000),
        forged(b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"9999999999999," * 5 + b")}"),
        forged(b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"),
        forged(b"__import__('os').abort()"),
        zipped("x", b"no array"),
        zipped("x", saved(np.zeros(4)))[:-30],
        zipped("x", saved(np.zeros(4)), 2_000),
        zipped("x" * 900, saved(np.zeros(4)), 2_000),
        zipped("x", saved(np.zeros(4))).replace(b"PK\x05\x06", b"PK\x05\x07"),
    ],
)
def test_files_that_lie_about_themselves_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BadArrayFile):
        header_of(tmp_path / "x", content, "x")


def test_a_file_beyond_the_bound_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file:
        file.truncate(BYTES_MAX + 1)
    with (tmp_path / "x").open("rb") as file, pytest.raises(BadArrayFile, match="of which 268435456 are fed"):
        read_header(file, None)
