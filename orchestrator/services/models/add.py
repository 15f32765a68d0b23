"""Describe model files: write the model.yaml of a folder, or take files into a folder of their own."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.interface import Interface
from orchestrator.domain.model import Format
from orchestrator.domain.written_file import WrittenFile
from orchestrator.models.described import (
    ENDINGS,
    ModelFiles,
    as_name,
    described,
    files_by_model,
    is_model_file,
    read_folder,
    saved_model_files,
    sort_files,
)
from orchestrator.models.new_file import refuse_other, write_new
from orchestrator.models.packed import pack_folder
from orchestrator.models.saved_model import SAVED_MODEL_FILE
from orchestrator.resources import schema_line
from orchestrator.specs.hashing import chunks_of
from orchestrator.specs.model import MODEL_FILE
from orchestrator.specs.paths import is_file, is_folder, open_regular, resolved


def add_models(paths: Sequence[Path], home: Path) -> tuple[WrittenFile, ...]:
    """Write a model.yaml for each folder, and one for the files of each model. Return the files named model.yaml.

    Files are copied into a new folder below `home`. Raise ConfigError for what cannot be described, and where another
    model.yaml is in the way.
    """
    files = [path for path in paths if not is_folder(path)]
    written = [_describe_folder(path, home) for path in paths if is_folder(path)]
    written += [_take_files(sort_files(one), home) for one in files_by_model(files)]
    return tuple(WrittenFile(path, "yaml", path.stat().st_size) for path in written)


def files_in(folder: Path) -> ModelFiles:
    """Return the model files of a folder, without those of folders below. Raise ConfigError without any."""
    try:
        found = sorted(path for path in folder.iterdir() if is_model_file(path) and is_file(path))
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be read: {error.strerror}") from None
    if not found:
        hint = "name the files, or their folder; a SavedModel's folder has a saved_model.pb"
        raise ConfigError(
            f"{folder}: no file in this folder that ends in {ENDINGS.replace(' and ', ' or ')}", hint=hint
        )
    return sort_files(found, resolved(folder).name)


def is_saved_model(folder: Path) -> bool:
    """Say whether a folder is a SavedModel."""
    return is_file(folder / SAVED_MODEL_FILE)


def take_folder(folder: Path, home: Path, name: Callable[[str], str], head: str | None = None) -> Path:
    """Pack a SavedModel into a new folder below `home`, with a model.yaml, and return that. As `take_model` otherwise.

    Raise ConfigError for a folder that is no SavedModel.
    """
    files = saved_model_files(folder, resolved(folder).name)
    known = {Format.SAVED_MODEL: read_folder(folder)}

    def pack(_file: Path, target: Path) -> None:
        pack_folder(folder, target)

    return take_model(files, home, name, head, (pack, known))


def take_model(
    files: ModelFiles,
    home: Path,
    name: Callable[[str], str],
    head: str | None = None,
    packing: tuple[Callable[[Path, Path], None], Mapping[Format, Interface]] | None = None,
) -> Path:
    """Copy files into a new folder below `home`, with a model.yaml, and return the folder.

    `name` makes the folder's name from the text of model.yaml, whose first line is `head`. The folder is complete or
    absent. The very same model being there counts as taken. Raise ConfigError for another. `packing` makes the file in
    place of a copy, and is what is known of it.
    """
    copy, known = packing or (_copy, {})
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
                copy(path, incoming / path.name)
            text = described(files, incoming, head, known)
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


def _take_files(files: ModelFiles, home: Path) -> Path:
    line = schema_line(home / files.name, "model")
    return take_model(files, home, lambda _text: files.name, line) / MODEL_FILE


def _describe_folder(folder: Path, home: Path) -> Path:
    if is_saved_model(folder):
        name = as_name(resolved(folder).name)
        return take_folder(folder, home, lambda _text: name, schema_line(home / name, "model")) / MODEL_FILE
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
