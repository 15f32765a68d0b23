"""Hold the declarations of a model against a file, for programs, which no worker looks into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from orchestrator.domain.interface import Interface, Tensor
from orchestrator.domain.model import Artifact, Format, Model, ModelInput
from orchestrator.domain.quoting import quoted
from orchestrator.models.onnx import read_onnx
from orchestrator.models.tflite import custom_operators, read_tflite
from orchestrator.models.window import Malformed, Window
from orchestrator.specs.paths import open_below

_READERS: Mapping[Format, Callable[[Window], Interface]] = {Format.TFLITE: read_tflite, Format.ONNX: read_onnx}
_EDGETPU = "edgetpu-custom-op"
_FAMILIES = ("float", "uint", "int", "bool")


def contradiction(model: Model, artifact: Artifact) -> str | None:
    """Return what model.yaml declares of an input otherwise than the file, or None.

    A file in a format without a reader, or that cannot be read, contradicts nothing: a program may take anything.
    """
    reader = _READERS.get(artifact.format)
    if reader is None:
        return None
    try:
        with open_below(Path(model.directory), Path(artifact.path)) as file:
            tensors = reader(Window(file)).inputs
    except (Malformed, OSError):
        return None
    names = {one.name for one in tensors}
    strangers = sorted(set(model.inputs) - names)
    if strangers and names - set(model.inputs):
        found = ", ".join(map(quoted, sorted(names)))
        return f"model.yaml declares an input {quoted(strangers[0])}, and {artifact.file_name} has {found}"
    said = (_of_input(one, model.inputs.get(one.name, model.input), artifact) for one in tensors)
    return next((one for one in said if one is not None), None)


def is_for_edgetpu(model: Model, artifact: Artifact) -> bool:
    """Say whether a .tflite file has what the EdgeTPU's compiler makes. A file that cannot be read has not."""
    if artifact.format is not Format.TFLITE:
        return False
    try:
        with open_below(Path(model.directory), Path(artifact.path)) as file:
            return _EDGETPU in custom_operators(Window(file))
    except (Malformed, OSError):
        return False


def _of_input(tensor: Tensor, declared: ModelInput, artifact: Artifact) -> str | None:
    where = f"input {quoted(tensor.name)} of {artifact.file_name}"
    if tensor.shape is not None and not _fits(tensor.shape, declared.shape):
        return f"{where} is {_words(tensor.shape)}, and model.yaml declares {_words(declared.shape)}"
    # The reader does not see whether integers of a .tflite file stand for scaled floats: such a pair proves nothing.
    may_be_scaled = artifact.format is Format.TFLITE and declared.dtype.startswith("float")
    if _family(tensor.dtype) != _family(declared.dtype) and not (may_be_scaled and "int" in tensor.dtype):
        return f"{where} is {tensor.dtype}, and model.yaml declares {declared.dtype}"
    return None


def _fits(found: tuple[int | None, ...], declared: tuple[int, ...]) -> bool:
    pairs = zip(found, declared, strict=False)
    return len(found) == len(declared) and all(size in (None, given) for size, given in pairs)


def _family(dtype: str) -> str:
    return next((family for family in _FAMILIES if dtype.startswith(family)), dtype)


def _words(sizes: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("?" if size is None else str(size) for size in sizes) + "]"
