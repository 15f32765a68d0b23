"""Pack the folder of a SavedModel into one file: an artifact is a single file, named by the hash of its content."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.quoting import quoted
from orchestrator.specs.paths import open_below

ENDING = ".saved-model.zip"
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest date that zip can express: equal folders give equal bytes."""
_FILES_MAX = 10_000
_CHUNK_BYTES = 1 << 20


def pack_folder(folder: Path, archive: Path) -> None:
    """Write the files of a folder into a new zip archive, uncompressed. Names and contents decide all bytes.

    Raise ConfigError for a link, for anything but files and folders, and for more files than a model has.
    """
    with zipfile.ZipFile(archive, "x", zipfile.ZIP_STORED, allowZip64=True) as packed:
        for path in sorted(_files_below(folder)):
            info = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
            info.create_system = 3  # Unix, so that unpackers heed the mode
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            with open_below(folder, path) as source:
                info.file_size = os.fstat(source.fileno()).st_size  # tells whether the member needs zip64
                with packed.open(info, "w") as sink:
                    shutil.copyfileobj(source, sink, _CHUNK_BYTES)


def _files_below(folder: Path) -> Iterator[Path]:
    count = 0
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(parent, name)
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise ConfigError(f"{path}: neither a file nor a folder", hint="replace a link by the file itself")
            if not path.name.isprintable():
                raise ConfigError(f"{quoted(str(path))}: a name that no archive should hold", hint="rename the file")
        count += len(names)
        if count > _FILES_MAX:
            raise ConfigError(f"{folder}: more than {_FILES_MAX} files, so this is no SavedModel alone")
        yield from (Path(parent, name) for name in names)
