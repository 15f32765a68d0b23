"""Describe model files as the text of a model.yaml: what the files say themselves, with comments for people."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.interface import Interface, Tensor
from orchestrator.domain.model import Format, format_of_file
from orchestrator.domain.quoting import quoted
from orchestrator.models.keras import read_keras
from orchestrator.models.onnx import read_onnx
from orchestrator.models.packed import ENDING
from orchestrator.models.saved_model import SAVED_MODEL_FILE, read_saved_model
from orchestrator.models.tflite import read_tflite
from orchestrator.models.torch_export import read_torch_export
from orchestrator.models.torchscript import read_torchscript
from orchestrator.models.window import Divided, Malformed, Window
from orchestrator.specs.document import BYTES_MAX, parse_document, reads_as_number
from orchestrator.specs.hashing import sha256_of
from orchestrator.specs.model import MODEL_FILE, ModelSection
from orchestrator.specs.model_input import Dtype
from orchestrator.specs.paths import open_below
from orchestrator.specs.schema import check_section

_READERS: Mapping[Format, Callable[[Window], Interface]] = {
    Format.TFLITE: read_tflite,
    Format.ONNX: read_onnx,
    Format.KERAS: read_keras,
    Format.TORCH: read_torchscript,
    Format.TORCH_EXPORT: read_torch_export,
}
ENDINGS = ".tflite, .onnx, .keras, .h5, .pt and .pt2"
"""The usual endings of files that can be described, in words."""
_BY_HAND = "for other formats write model.yaml by hand, as `benchfleet init` has an example of"
_NONE_KNOWN: Mapping[Format, Interface] = {}
_SEPARATORS = "-_. "
_NAME_LENGTH_MAX = 63


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Hold files that are one model, by variant and format."""

    name: str
    files: Mapping[str, Mapping[Format, Path]]

    @property
    def paths(self) -> list[Path]:
        """Return every file."""
        return [path for one in self.files.values() for path in one.values()]

    @property
    def formats(self) -> set[Format]:
        """Return the formats of all files."""
        return {form for one in self.files.values() for form in one}


def is_model_file(path: Path) -> bool:
    """Say whether the name of a file promises a format that can be read."""
    return format_of_file(path.name) in _READERS and not path.name.startswith(".")


def sort_files(paths: Sequence[Path], name: str | None = None) -> ModelFiles:
    """Return files as one model. Names of files say the variants, and without `name` the model's name too.

    Raise ConfigError for a format that cannot be read, and for two files of one variant and format.
    """
    for path in paths:
        if not is_model_file(path):
            raise ConfigError(f"{path}: only {ENDINGS} files can be described", hint=_BY_HAND)
        if not path.name.isprintable():
            raise ConfigError(f"{quoted(str(path))}: a name that no model.yaml can hold", hint="rename the file")
    model = as_name(_common(list(dict.fromkeys(path.stem for path in paths))) if name is None else name)
    sorted_: dict[str, dict[Format, Path]] = {}
    for path in paths:
        stem = as_name(path.stem)
        rest = stem.removeprefix(model).lstrip(_SEPARATORS) if stem.startswith(model) else ""
        variant = as_name(rest) if rest and stem[len(model)] in _SEPARATORS else stem
        first = sorted_.setdefault(variant, {}).setdefault(format_of_file(path.name), path)
        if first is not path:
            raise ConfigError(f"{first} and {path} would both be the variant {variant}", hint="rename one of the files")
    return ModelFiles(model, sorted_)


def files_by_model(paths: Sequence[Path]) -> list[list[Path]]:
    """Return files that are one model together, in the order given.

    Files are variants of one model if their names begin with the same word, and their inputs have the same sizes. Files
    of one name in several formats are one model in any case. Raise ConfigError for a file that cannot be read.
    """
    firsts = [re.split(f"[{re.escape(_SEPARATORS)}]", path.stem, maxsplit=1)[0].lower() for path in paths]
    groups: dict[object, list[Path]] = {}
    of_stem: dict[str, object] = {}
    for path, first in zip(paths, firsts, strict=True):
        # What no other file can belong to need not be read here.
        if path.stem not in of_stem:
            is_read = firsts.count(first) > 1 and is_model_file(path)
            of_stem[path.stem] = first, str(_sizes_taken(path)) if is_read else None
        groups.setdefault(of_stem[path.stem], []).append(path)
    return list(groups.values())


def _sizes_taken(path: Path) -> list[list[int]]:
    """Return the sizes of each input, without ones and open sizes, in no order: formats order dimensions otherwise."""
    interface, _ = _read(path, path.parent, format_of_file(path.name))
    return sorted(sorted(size for size in one.shape or () if size is not None and size > 1) for one in interface.inputs)


def as_name(text: str) -> str:
    """Return the nearest text that is a name in model.yaml and on a command line."""
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", text).lstrip("._-")[:_NAME_LENGTH_MAX]
    return words.rstrip("._-") or "model"


def saved_model_files(folder: Path, name: str) -> ModelFiles:
    """Return the folder of a SavedModel as the one file that it is packed into."""
    model = as_name(name)
    return ModelFiles(model, {model: {Format.SAVED_MODEL: folder.with_name(f"{model}{ENDING}")}})


def read_folder(folder: Path) -> Interface:
    """Return what a SavedModel takes and gives. Raise ConfigError for a folder that is none."""
    file = folder / SAVED_MODEL_FILE
    with _telling(file, Format.SAVED_MODEL), open_below(folder, file) as opened:
        return read_saved_model(Window(opened))


def read_file(path: Path, form: Format) -> Interface:
    """Return what a model file takes and gives. Raise ConfigError for a file that is not what the ending says."""
    return _read(path, path.parent, form)[0]


def described(
    files: ModelFiles, folder: Path, head: str | None = None, known: Mapping[Format, Interface] = _NONE_KNOWN
) -> str:
    """Return the text of the model.yaml for files in `folder`. Errors name the files as `files` does.

    `head` is a first line, for editors. `known` is what was read already, of a format that is packed.
    Raise ConfigError for a file that is not what the ending says, or that random inputs cannot run.
    """
    lines: list[str] = []
    inputs: dict[str, str] = {}
    for variant, artifacts in files.files.items():
        precision: str | None = None
        body: list[str] = []
        for form, path in artifacts.items():
            interface, sha256 = _read(path, folder, form, known)
            for name, one in _declared(interface, path).items():
                inputs.setdefault(name, one)
            precision = precision or interface.precision
            body += [*_comments(interface), f"      {form.value}:"]
            body += [f"        file: {json.dumps(path.name)}", f"        sha256: {sha256}"]
        lines += [f"  {word(variant)}:", f"    precision: {precision}", "    made: not described yet", "    artifacts:"]
        lines += body
    text = "\n".join([*([] if head is None else [head]), *_head(files.name), *_inputs(inputs), "", "variants:", *lines])
    if len(text) > BYTES_MAX:
        raise ConfigError(f"{files.paths[0]}: too many inputs and outputs for a model.yaml", hint=_BY_HAND)
    # What is written must load: a mistake here would be met by whoever runs the model.
    check_section(parse_document(text, str(folder / MODEL_FILE)), ModelSection)
    return text + "\n"


def word(text: str) -> str:
    """Return a name as YAML that means text."""
    plain = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/=-]*", text) is not None and not reads_as_number(text)
    return text if plain and text.lower() not in {"null", "true", "false"} else json.dumps(text)


def _common(stems: Sequence[str]) -> str:
    """Return the words with which all stems begin, or else the first stem."""
    short = min(stems, key=len)
    end = next((end for end in range(len(short), 0, -1) if all(stem.startswith(short[:end]) for stem in stems)), 0)
    prefix = short[:end]
    if all(len(stem) == len(prefix) or stem[len(prefix)] in _SEPARATORS for stem in stems):
        return prefix or stems[0]
    # Not in the middle of a word: digits-fp16 and digits-fp32 are `digits`.
    end = max(prefix.rfind(separator) for separator in _SEPARATORS)
    return prefix[:end] if end > 0 else stems[0]


def _read(
    path: Path, folder: Path, form: Format, known: Mapping[Format, Interface] = _NONE_KNOWN
) -> tuple[Interface, str]:
    with _telling(path, form), open_below(folder, folder / path.name) as file:
        return known.get(form) or _READERS[form](Window(file)), sha256_of(file, path.name)


@contextmanager
def _telling(path: Path, form: Format) -> Iterator[None]:
    """Raise ConfigError for a file that cannot be read, or that is not of its format."""
    try:
        yield
    except Divided as divided:
        raise ConfigError(
            f"{path}: the weights lie in a further file, {divided}, and a model is sent to devices as one",
            hint="save it in one file: onnx.save(onnx.load(FILE), OTHER)",
        ) from None
    except Malformed as wrong:
        raise ConfigError(
            f"{path}: no {form.value} model: {wrong}",
            hint="was it cut off, is it another format, or a pointer of Git LFS (git lfs pull)?",
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def _declared(interface: Interface, path: Path) -> dict[str, str]:
    """Return the declaration of each input that random numbers can fill, by name."""
    # Text comes from a data set alone, which only a person can name.
    numbers = {*get_args(Dtype)} - {"string"}
    found = {one.name: _declaration(one, path) for one in interface.inputs if one.dtype in numbers}
    if not found:
        raise ConfigError(f"{path}: the model has no input that random numbers can fill", hint=_BY_HAND)
    return found


def _declaration(tensor: Tensor, path: Path) -> str:
    """Return an input in the words of model.yaml. A batch of open size is 1."""
    sizes = [1 if place == 0 and size is None else size for place, size in enumerate(tensor.shape or ())]
    # A guess would be timed in place of the model: 1x1 pixels are a thousand times faster than an image.
    if tensor.shape is None or not all(sizes):
        raise ConfigError(
            f"{path}: input {quoted(tensor.name)} takes {_shape(tensor)}, and only a person knows the open sizes",
            hint="write a model.yaml with the sizes that you use, as in `input: {shape: [1, 224, 224, 3], …}`",
        )
    return f"{{shape: {sizes}, dtype: {tensor.dtype}, low: 0.0, high: 1.0}}"


def _inputs(declared: Mapping[str, str]) -> Iterator[str]:
    first = next(iter(declared.values()))
    yield f"input: {first}"
    if any(one != first for one in declared.values()):
        yield "inputs:"
        # model.yaml holds text without control characters. An input with another name is held against `input`.
        yield from (f"  {json.dumps(name)}: {one}" for name, one in declared.items() if name.isprintable() and name)


def _head(name: str) -> Iterator[str]:
    yield "# Written by benchfleet from the files beside this one. `benchfleet models verify` hashes the files again."
    yield f"model: {word(name)}"
    yield ""
    yield "# Change these two: what the model is, and what it does. Reports show both."
    yield "description: not described yet"
    yield "task: unknown"
    yield ""
    yield "# Every input of a file gets random numbers from low to high, in the file's own shape and type (see below)."
    yield "# Change low and high to what the model expects: -1 and 1, 0 and 255, or 0 and the size of a vocabulary."


def _comments(interface: Interface) -> Iterator[str]:
    for verb, tensors in (("takes", interface.inputs), ("gives", interface.outputs)):
        for tensor in tensors:
            yield f"      # {verb} {quoted(tensor.name)}: {tensor.dtype} {_shape(tensor)}"


def _shape(tensor: Tensor) -> str:
    if tensor.shape is None:
        return "of any shape"
    return f"[{', '.join('?' if size is None else str(size) for size in tensor.shape)}]"
