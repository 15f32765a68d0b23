"""Inputs of PyTorch's files, read without PyTorch. The files in torch-2.13 are its own, less what names a machine."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.interface import Interface, Tensor
from orchestrator.models.torch_export import read_torch_export
from orchestrator.models.torchscript import read_torchscript
from orchestrator.models.window import Malformed, Window

WRITTEN = Path(__file__).parent / "torch-2.13"
DIGITS = Path(__file__).parents[3] / "models" / "digits" / "digits-fp32.pt"
CODE = "class Net(Module):\n  training : bool\n  def forward(self: __torch__.Net,\n    {inputs}) -> Tensor:\n    pass\n"
MODULE = pickle.PROTO + b"\x02c__torch__\nNet\n)\x81."


def script(path: Path) -> Interface:
    with path.open("rb") as file:
        return read_torchscript(Window(file))


def graph(path: Path) -> Interface:
    with path.open("rb") as file:
        return read_torch_export(Window(file))


def packed(path: Path, members: Mapping[str, bytes | str]) -> Path:
    archived = io.BytesIO()
    with zipfile.ZipFile(archived, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"net/{name}", content)
    path.write_bytes(archived.getvalue())
    return path


def module_of(path: Path, inputs: str, content: bytes = MODULE) -> Path:
    return packed(path, {"code/__torch__.py": CODE.format(inputs=inputs), "data.pkl": content})


def test_a_traced_module_says_what_it_was_traced_with() -> None:
    found = script(WRITTEN / "traced.pt")
    assert found.inputs == (Tensor("rows", (2, 3), "float32"), Tensor("ids", (1, 4), "int32"))
    assert (found.outputs, found.precision) == ((), "fp32")


@pytest.mark.parametrize(("file", "names"), [(WRITTEN / "scripted.pt", ["rows", "ids"]), (DIGITS, ["image"])])
def test_a_scripted_module_says_the_names_of_its_inputs_alone(file: Path, names: list[str]) -> None:
    found = script(file)
    assert found.inputs == tuple(Tensor(name, None, "float32") for name in names)
    assert found.precision == "fp32"


def test_a_graph_says_everything_but_open_sizes() -> None:
    found = graph(WRITTEN / "graph.pt2")
    assert found.inputs == (Tensor("rows", (None, 3), "float32"), Tensor("ids", (1, 4), "int32"))
    assert [(one.shape, one.dtype) for one in found.outputs] == [((None, 2), "float32"), ((1, 4), "int32")]
    assert found.precision == "fp32"


def test_inputs_with_a_value_of_their_own_are_left_out(tmp_path: Path) -> None:
    found = script(module_of(tmp_path / "a.pt", "x: Tensor, y: Tensor, mask: Optional[Tensor]=None"))
    assert [one.name for one in found.inputs] == ["x", "y"]
    assert found.precision == "unknown"


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("evil"),)


@pytest.mark.parametrize(
    ("inputs", "content", "words"),
    [
        ("x: List[Tensor]", MODULE, r"its forward takes 'x', a 'List\[Tensor\]', and no tensor"),
        ("x: Tensor", b"", "its pickle is broken|its pickle has no end"),
        ("x: Tensor", MODULE[:-1], "its pickle has no end|its pickle is broken"),
        ("x: Tensor", b"\x80\x02t.", "its pickle is broken"),
        ("x: Tensor", b"\x80\x02K\x01.", "its pickle holds no module"),
        ("x: Tensor", b"\x80\x02h\x07.", "its pickle is broken"),
        ("x: Tensor", pickle.dumps(print, 0), "which PyTorch does not write|its pickle holds no module"),
        ("x: Tensor", b"\x80\x02c__torch__\nOther\n)\x81.", "its code has no forward"),
        ("x: Tensor", b"\x80\x02c__torch__.deep\nNet\n)\x81.", "it has no member 'code/__torch__/deep.py'"),
        ("x: Tensor", b"\x80\x02]" + b"(" * 100_000 + b".", "its pickle holds no module"),
        ("x: Tensor", b"\x80\x02]q\x00h\x00a.", "its pickle holds no module"),
    ],
)
def test_a_broken_or_hostile_module_is_refused(inputs: str, content: bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(Malformed, match=words):
        script(module_of(tmp_path / "a.pt", inputs, content))


def test_nothing_that_a_pickle_says_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(Malformed):
            script(module_of(tmp_path / "a.pt", "x: Tensor", pickle.dumps(Evil(), protocol)))
    assert not (tmp_path / "evil").exists()


def test_weights_alone_are_no_model() -> None:
    with pytest.raises(Malformed, match=r"no code: save it by torch\.jit\.save or torch\.export\.save"):
        script(WRITTEN / "state.pt")


def test_a_member_larger_than_it_may_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match="has more than"):
        script(packed(tmp_path / "a.pt", {"code/__torch__.py": "", "data.pkl": bytes((16 << 20) + 1)}))


def graph_of(**changes: object) -> dict[str, Any]:
    tensor = {"dtype": 7, "sizes": [{"as_int": 1}]}
    signature: dict[str, object] = {
        "input_specs": [{"user_input": {"arg": {"as_tensor": {"name": "x"}}}}],
        "output_specs": [],
        **changes,
    }
    return {"graph_module": {"graph": {"tensor_values": {"x": tensor}}, "signature": signature}}


def test_a_graph_of_an_older_release_lies_elsewhere(tmp_path: Path) -> None:
    content = json.dumps(graph_of())
    path = tmp_path / "a.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("serialized_exported_program.json", content)
    assert graph(path).inputs == (Tensor("x", (1,), "float32"),)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"models/a.json": "{"}, "not written as torch.export writes"),
        ({"models/a.json": "[" * 100_000}, "not written as torch.export writes"),
        ({"models/a.json": json.dumps(graph_of(input_specs=[]))}, "takes no input"),
        ({"models/a.json": json.dumps(graph_of(input_specs=7))}, "not written as torch.export writes"),
        (
            {"models/a.json": json.dumps(graph_of(input_specs=[{"user_input": {"arg": {"as_int": 3}}}]))},
            "its graph takes .*as_int.*, and no tensor",
        ),
        ({"models/a.json": "{}", "models/b.json": "{}"}, "it holds 2 graphs"),
        ({"version": "1"}, "it holds 0 graphs"),
        ({"models/a.json": "{}", "data/aotinductor/a/a.so": ""}, "compiled for one kind of machine by AOTInductor"),
    ],
)
def test_a_broken_graph_is_refused(members: dict[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(Malformed, match=words):
        graph(packed(tmp_path / "a.pt2", members))


@pytest.mark.parametrize("read", [script, graph])
def test_every_cut_of_a_file_is_refused_or_read(read: Any, tmp_path: Path) -> None:
    content = (WRITTEN / ("traced.pt" if read is script else "graph.pt2")).read_bytes()
    path = tmp_path / "cut"
    for end in range(0, len(content), 97):
        path.write_bytes(content[:end])
        with pytest.raises(Malformed):
            read(path)
