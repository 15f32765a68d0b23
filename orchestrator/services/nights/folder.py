"""Write down the contents of a night, as sweeps, models and files for anybody to run again.

Contents are named by their hashes: nights of one build share the files.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from orchestrator.blobs.base import BlobSource
from orchestrator.domain.blob import Blob
from orchestrator.domain.errors import ConfigError, IncompleteError
from orchestrator.domain.model import Model, ModelInput
from orchestrator.domain.night_record import NightRecord
from orchestrator.domain.runtime import RuntimeSpec
from orchestrator.domain.sweep import Sweep
from orchestrator.services.runs.prepare import BlobKeeper
from orchestrator.specs.hashing import chunks_of
from orchestrator.specs.model import MODEL_FILE
from orchestrator.specs.written import model_text, sweep_text

NIGHTS_FOLDER = "nights"
_HASH_CHARACTERS = 16


def stem_of(night: NightRecord, database_id: str) -> str:
    """Return the beginning of a night's files. A night of another database with the same id has other files."""
    words = f"{database_id}|{night.began_at.isoformat()}"
    return f"{night.id}.{hashlib.sha256(words.encode()).hexdigest()[:6]}"


class NightBlobs(BlobKeeper, Protocol):
    """Keep contents, and give contents back by hash."""

    def holds(self, blob: Blob) -> bool:
        """Return True if the content is at hand. The content is not read."""

    def path(self, blob: Blob) -> Path:
        """Return the file of a content. Raise BlobError if the content is missing or damaged."""


class NightFolder:
    """Write below `name` of a folder. No file is overwritten: a file of the same name has the same content."""

    def __init__(self, folder: Path, blobs: BlobSource, name: str = NIGHTS_FOLDER) -> None:
        self.path = folder / name
        self._blobs = blobs

    @contextmanager
    def alone(self, nightly: str) -> Iterator[None]:
        """Keep other processes from running the same nightly here. Raise IncompleteError if another process does.

        Two processes of a single night would each take the other's devices for lost.
        """
        path = self.path / f".{nightly}.lock"
        with _writing(path):
            _make(self.path)
            lock = path.open("a", encoding="utf-8")
        with lock:
            try:
                # The kernel gives the lock back when the process dies: a lock file alone would outlive a power cut.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise IncompleteError(
                    f"nightly {nightly} is under way in another process", "wait for its end; nightly list shows it"
                ) from None
            yield

    def model(self, model: Model, blobs: Mapping[str, Blob], inputs: Mapping[str, Blob] | None = None) -> Model:
        """Write a model with its files, and return the model in its new folder.

        `blobs` has the content of each artifact and data set, by hash, and `inputs` that of each file of an input, by
        path. Raise BlobError for a missing content, and ConfigError for an unwritable folder.
        """
        inputs = inputs or {}
        # The name depends on the text, and the text on no folder: paths are relative.
        text = model_text(_at(model, Path("/"), blobs, inputs))
        name = f"{model.name}-{hashlib.sha256(text.encode()).hexdigest()[:_HASH_CHARACTERS]}"
        found = _at(model, self.path / "models" / name, blobs, inputs)
        for old, new in zip(model.all_inputs, found.all_inputs, strict=True):
            if old.file is not None and new.file is not None:
                self._place(inputs[old.file], Path(new.file))
        for variant in found.variants.values():
            for artifact in variant.artifacts:
                self._place(blobs[artifact.sha256], Path(artifact.path))
        for dataset in found.datasets.values():
            self._place(blobs[dataset.sha256], Path(dataset.path))
        # Last: a folder with this file is whole.
        self._write(Path(found.directory) / MODEL_FILE, text)
        return found

    def runtime(self, runtime: RuntimeSpec, files: Mapping[str, Blob]) -> RuntimeSpec:
        """Write the files of a program, and return the runtime with the new paths. `files` is by name."""
        if runtime.program is None:
            return runtime
        placed = []
        for name, _ in runtime.program.files:
            path = self.path / "files" / files[name].sha256[:_HASH_CHARACTERS] / name
            self._place(files[name], path)
            placed.append((name, str(path)))
        return replace(runtime, program=replace(runtime.program, files=tuple(placed)))

    def sweep(self, name: str, sweep: Sweep, *, anew: bool = False) -> Path:
        """Write a sweep, and return the file. An existing file stays unchanged, unless `anew`."""
        path = self.path / f"{name}.yaml"
        self._write(path, sweep_text(sweep, self.path), anew=anew)
        return path

    def write(self, name: str, text: str) -> Path:
        """Write a text, unless the file exists, and return the file."""
        path = self.path / name
        self._write(path, text)
        return path

    def _place(self, blob: Blob, path: Path) -> None:
        with _writing(path):
            # The folder is named by the hash of the content.
            if path.exists():
                return
            source = self._blobs.path(blob)
            _make(path.parent)
            with source.open("rb") as stream:
                _atomically(path, chunks_of(stream, path.name))

    def _write(self, path: Path, text: str, *, anew: bool = False) -> None:
        with _writing(path):
            if path.exists() and not anew:
                return
            _make(path.parent)
            _atomically(path, [text.encode()])


def _at(model: Model, folder: Path, blobs: Mapping[str, Blob], inputs: Mapping[str, Blob]) -> Model:
    """Return a model as if it lay in a folder, each artifact and file of an input below a name of its hash."""

    def moved(declared: ModelInput) -> ModelInput:
        if declared.file is None:
            return declared
        place = folder / inputs[declared.file].sha256[:_HASH_CHARACTERS] / Path(declared.file).name
        return replace(declared, file=str(place))

    variants = {
        name: replace(
            variant,
            artifacts=tuple(
                replace(one, path=str(folder / one.sha256[:_HASH_CHARACTERS] / blobs[one.sha256].name))
                for one in variant.artifacts
            ),
        )
        for name, variant in model.variants.items()
    }
    datasets = {name: replace(one, path=str(folder / name)) for name, one in model.datasets.items()}
    return replace(
        model,
        directory=str(folder),
        input=moved(model.input),
        inputs={name: moved(one) for name, one in model.inputs.items()},
        variants=variants,
        datasets=datasets,
        recipe=None,
    )


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        at = error.filename or path
        raise ConfigError(
            f"{at}: cannot be written: {error.strerror}",
            "a night keeps what it measures there: free space, or make the folder writable for this user",
        ) from None


def _make(folder: Path) -> None:
    """Make a folder with its parents, each with a name that outlives a power cut."""
    if folder.is_dir():
        return
    _make(folder.parent)
    folder.mkdir(exist_ok=True)
    _keep_names(folder.parent)


def _keep_names(folder: Path) -> None:
    """Write the names in a folder to the disk: `fsync` of a file keeps the content alone."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _atomically(path: Path, chunks: Iterable[bytes]) -> None:
    descriptor, incoming = tempfile.mkstemp(prefix=".incoming-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as sink:
            for chunk in chunks:
                sink.write(chunk)
            sink.flush()
            # Before the rename: after a power cut the name must not stand for a file without its content.
            os.fsync(sink.fileno())
        # mkstemp makes files for their owner alone, and anybody may repeat a night's runs.
        Path(incoming).chmod(0o644)
        Path(incoming).replace(path)
        _keep_names(path.parent)
    except BaseException:
        with suppress(OSError):
            Path(incoming).unlink()
        raise
