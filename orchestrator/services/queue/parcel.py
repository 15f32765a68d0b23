"""Pack a sweep with every file that it needs, and unpack the parcel on another machine.

A parcel is a folder by name and hash: `sweep.yaml` with relative paths, models below `models`, programs below `files`.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.errors import BlobError, ConfigError
from orchestrator.domain.runtime import RuntimeSpec
from orchestrator.domain.submission import ParcelFile, checked_path
from orchestrator.domain.sweep import SweptModel
from orchestrator.services.nights.candidate import write_model
from orchestrator.services.nights.folder import NightBlobs, NightFolder
from orchestrator.specs.hashing import chunks_of, sha256_of
from orchestrator.specs.paths import open_regular, reading_remedy

if TYPE_CHECKING:
    from orchestrator.specs.sweep import SweepFile
    from orchestrator.store.base import Roles

SWEEP_NAME = "sweep"
_NOWHERE = Path("/")


class Parcel(NightFolder):
    """Collect the files of a sweep by path, in place of writing them."""

    def __init__(self, keeper: NightBlobs) -> None:
        super().__init__(_NOWHERE, keeper, "parcel")
        self._keeper = keeper
        self.files: dict[str, Blob] = {}

    def _place(self, blob: Blob, path: Path) -> None:
        self.files[path.relative_to(self.path).as_posix()] = blob

    def _write(self, path: Path, text: str, *, anew: bool = False) -> None:
        self._place(self._keeper.add(text.encode(), BlobKind.FILE, path.name), path)


def pack(file: SweepFile, keeper: NightBlobs) -> Mapping[str, Blob]:
    """Return every file of a sweep by the path within the parcel, each kept by `keeper`.

    Raise ConfigError for a file that cannot be read. Equal sweeps make equal parcels.
    """
    parcel = Parcel(keeper)
    models = {
        one.name: write_model(one, [name for name in file.sweep.variants if name in one.variants], {}, parcel, keeper)
        for one in file.models
    }
    sweep = replace(
        file.sweep,
        model=models[file.model.name].directory,
        models=tuple(SweptModel(one.name, models[one.name].directory, one.variants) for one in file.sweep.models),
        runtimes=tuple(_packed(runtime, parcel, keeper) for runtime in file.sweep.runtimes),
    )
    parcel.sweep(SWEEP_NAME, sweep)
    return parcel.files


def _packed(runtime: RuntimeSpec, parcel: Parcel, keeper: NightBlobs) -> RuntimeSpec:
    blobs = {}
    for name, path in runtime.program.files if runtime.program else ():
        try:
            blobs[name] = keeper.add(open_regular(Path(path)), BlobKind.FILE, name)
        except OSError as error:
            remedy = reading_remedy(error, Path(path), "was it moved just now?")
            raise ConfigError(f"{path}: cannot be read: {error.strerror}", remedy) from None
    return parcel.runtime(runtime, blobs)


def unpack(files: Sequence[ParcelFile], folder: Path, store: Roles, keeper: NightBlobs) -> Path:
    """Write the files of a parcel below a folder, and return the sweep. Files that are there stay.

    Raise BlobError for a content that is missing, or is not what its hash says, and ConfigError for a wrong path and
    for a folder that cannot be written.
    """
    for file in files:
        target = folder / checked_path(file.path)
        try:
            if not _is_there(target, file):
                _fetch(file, target, store, keeper)
        except OSError as error:
            raise ConfigError(
                f"{target}: cannot be written: {error.strerror}", "cache_dir in benchfleet.toml names another folder"
            ) from None
    return folder / f"{SWEEP_NAME}.yaml"


def _is_there(target: Path, file: ParcelFile) -> bool:
    try:
        with target.open("rb") as stream:
            return sha256_of(stream, target.name) == file.sha256
    except FileNotFoundError:
        return False


def _fetch(file: ParcelFile, target: Path, store: Roles, keeper: NightBlobs) -> None:
    blob = Blob(file.sha256, file.size, BlobKind.FILE, target.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    if keeper.holds(blob):
        with keeper.path(blob).open("rb") as stream:
            _write(target, chunks_of(stream, target.name))
        return
    if _write(target, store.vault.chunks(file.sha256), file.sha256) != file.sha256:
        # Else nobody could ever send the right bytes: the database would take them for known.
        store.vault.drop_blob(file.sha256)
        raise BlobError(f"{file.path}: the database had other bytes than {file.sha256[:12]}", "submit the sweep again")


def _write(target: Path, chunks: Iterable[bytes], sha256: str | None = None) -> str:
    """Write a file at once or not at all, and return the hash. With `sha256` only that content is kept."""
    digest = hashlib.sha256()
    descriptor, incoming = tempfile.mkstemp(prefix=".incoming-", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as sink:
            for chunk in chunks:
                digest.update(chunk)
                sink.write(chunk)
            sink.flush()
            os.fsync(sink.fileno())
        if sha256 in (None, digest.hexdigest()):
            Path(incoming).replace(target)
    finally:
        with suppress(FileNotFoundError):
            Path(incoming).unlink()
    return digest.hexdigest()
