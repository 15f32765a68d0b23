"""Describe model files: write the model.yaml of a folder, or take files into a folder of their own."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.written_file import WrittenFile
from orchestrator.models.described import ModelFiles, described, is_model_file, sort_files
from orchestrator.models.new_file import refuse_other, write_new
from orchestrator.resources import schema_line
from orchestrator.specs.hashing import chunks_of
from orchestrator.specs.model import MODEL_FILE
from orchestrator.specs.paths import is_file, is_folder, open_regular, resolved

_SAVED_MODEL = "saved_model.pb"


def add_models(paths: Sequence[Path], home: Path) -> tuple[WrittenFile, ...]:
    """Write a model.yaml for each folder, and one for all files together. Return the files named model.yaml.

    Files are copied into a new folder below `home`. Raise ConfigError for what cannot be described, and where another
    model.yaml is in the way.
    """
    files = [path for path in paths if not is_folder(path)]
    written = [_describe_folder(path) for path in paths if is_folder(path)]
    if files:
        model = sort_files(files)
        line = schema_line(home / model.name, "model")
        written.append(take_model(model, home, lambda _text: model.name, line) / MODEL_FILE)
    return tuple(WrittenFile(path, "yaml", path.stat().st_size) for path in written)


def files_in(folder: Path) -> ModelFiles:
    """Return the model files of a folder, without those of folders below. Raise ConfigError without any."""
    try:
        found = sorted(path for path in folder.iterdir() if is_model_file(path) and is_file(path))
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be read: {error.strerror}") from None
    if is_file(folder / _SAVED_MODEL):
        raise ConfigError(
            f"{folder}: a SavedModel, which no runtime here loads",
            hint="convert it to .tflite or .onnx; or pack it into one file, and write model.yaml for an exec program",
        )
    if not found:
        raise ConfigError(f"{folder}: no .tflite or .onnx file in this folder", hint="name the files, or their folder")
    return sort_files(found, resolved(folder).name)


def take_model(files: ModelFiles, home: Path, name: Callable[[str], str], head: str | None = None) -> Path:
    """Copy files into a new folder below `home`, with a model.yaml, and return the folder.

    `name` makes the folder's name from the text of model.yaml, whose first line is `head`. The folder is complete or
    absent. The very same model being there counts as taken. Raise ConfigError for another.
    """
    names = [path.name for path in files.paths]
    if twice := next((one for one in names if names.count(one) > 1), None):
        raise ConfigError(f"two files are named {twice}", hint="rename one of the files")
    try:
        home.mkdir(parents=True, exist_ok=True)
        # Below `home`: the rename at the end needs the same file system.
        with tempfile.TemporaryDirectory(prefix=".incoming-", dir=home) as place:
            incoming = Path(place) / "model"
            incoming.mkdir()
            for path in files.paths:
                _copy(path, incoming / path.name)
            text = described(files, incoming, head)
            (incoming / MODEL_FILE).write_text(text, encoding="utf-8")
            folder = home / name(text)
            if not refuse_other(folder / MODEL_FILE, text):
                _put(incoming, folder, text)
    except OSError as error:
        raise ConfigError(f"{error.filename2 or error.filename or home}: cannot be written: {error.strerror}") from None
    return folder


def _put(incoming: Path, folder: Path, text: str) -> None:
    """Give a complete folder its name. Raise ConfigError where another folder has the name."""
    try:
        incoming.rename(folder)
    except OSError:
        # Another command may have taken the same model meanwhile.
        if is_folder(folder) and not refuse_other(folder / MODEL_FILE, text):
            raise ConfigError(
                f"{folder} is there already, without a {MODEL_FILE}",
                hint=f"benchfleet models add {shlex.quote(str(folder))} describes the files in it",
            ) from None
        if not is_folder(folder):
            raise


def _describe_folder(folder: Path) -> Path:
    file = folder / MODEL_FILE
    write_new(file, described(files_in(folder), folder, schema_line(folder, "model")))
    return file


def _copy(source: Path, target: Path) -> None:
    try:
        file = open_regular(resolved(source))
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read: {error.strerror}") from None
    with file, target.open("xb") as copy:
        for chunk in chunks_of(file, source.name):
            copy.write(chunk)
    shutil.copymode(source, target)
