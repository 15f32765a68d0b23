"""The controller's own store of blobs: one read-only file per content, named by its SHA-256."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import BinaryIO

from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.errors import BlobError

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK_BYTES = 1 << 20


class BlobCache:
    """A BlobSource over a folder that any number of threads and processes may fill at the same time.

    Files arrive under a name of their own and are renamed into place when whole: a reader sees all of one or nothing.
    What `path` hands out was hashed once by this process, and again if the file has changed since. To a copy in
    another process only the folder travels.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._checked: dict[str, tuple[int, int, int]] = {}

    def __reduce__(self) -> tuple[type[BlobCache], tuple[Path]]:
        return BlobCache, (self._directory,)

    def add(self, source: Path | bytes, kind: BlobKind, name: str | None = None) -> Blob:
        """Copy a file or bytes in, unless their content is here; `name` is the file's own unless given."""
        label = name or (source.name if isinstance(source, Path) else kind.value)
        with self._storing(label), _reading(source) as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            blob = Blob(sha256, stream.seek(0, os.SEEK_END), kind, label)
            if not self.holds(blob):
                stream.seek(0)
                blob = self._copy(stream, kind, label)
        return blob

    def adopt(self, file: Path, kind: BlobKind, name: str | None = None) -> Blob:
        """Take a file of ours over: it is gone from where it was."""
        label = name or file.name
        with self._storing(label):
            with file.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
                blob = Blob(sha256, stream.seek(0, os.SEEK_END), kind, label)
            try:
                self._place(file, sha256)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                blob = self.add(file, kind, label)
                file.unlink()
        return blob

    def holds(self, blob: Blob) -> bool:
        """Tell whether a file of this name and size is here, without reading it."""
        try:
            return self._file(blob).stat().st_size == blob.size
        except FileNotFoundError:
            return False

    def path(self, blob: Blob) -> Path:
        """Return the file; raise BlobError if it is missing, or damaged (it is then removed, and can be added anew)."""
        file = self._file(blob)
        with self._lock:
            try:
                stamp = _stamp(file)
                if self._checked.get(blob.sha256) != stamp:
                    self._check(file, blob)
                    self._checked[blob.sha256] = stamp
            except FileNotFoundError:
                raise BlobError(
                    f"{blob.kind} {blob.name} ({blob.sha256[:12]}) is not in {self._directory}",
                    hint="start the run again with the same sweep: planning it stores every file that it needs",
                ) from None
            except OSError as error:
                raise BlobError(f"cannot read {file}: {error.strerror}", hint="check who owns the folder") from error
        if stamp[1] != blob.size:
            raise BlobError(f"{blob.kind} {blob.name} has {stamp[1]} bytes where the plan says {blob.size}")
        return file

    def _file(self, blob: Blob) -> Path:
        if not _SHA256.fullmatch(blob.sha256):
            raise BlobError(f"{blob.kind} {blob.name}: {blob.sha256!r} is not a SHA-256 in hex")
        return self._directory / blob.sha256[:2] / blob.sha256

    def _check(self, file: Path, blob: Blob) -> None:
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found == blob.sha256:
            return
        file.unlink(missing_ok=True)
        raise BlobError(
            f"{blob.kind} {blob.name} was damaged: {file} had the content {found[:12]}; it is removed now",
            hint="start the run again with the same sweep to store it anew; check the disk if this happens twice",
        )

    def _copy(self, stream: BinaryIO, kind: BlobKind, name: str) -> Blob:
        """Store what the stream gives, whatever its hash said a moment ago."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)  # models may be nobody else's business
        digest = hashlib.sha256()
        descriptor, incoming = tempfile.mkstemp(prefix=".incoming-", dir=self._directory)
        try:
            with os.fdopen(descriptor, "wb") as sink:
                while chunk := stream.read(_CHUNK_BYTES):
                    digest.update(chunk)
                    sink.write(chunk)
                size = sink.tell()
                sink.flush()
                os.fsync(sink.fileno())
            self._place(Path(incoming), digest.hexdigest())
        except BaseException:
            Path(incoming).unlink(missing_ok=True)
            raise
        return Blob(digest.hexdigest(), size, kind, name)

    def _place(self, file: Path, sha256: str) -> None:
        target = self._directory / sha256[:2] / sha256
        target.parent.mkdir(parents=True, exist_ok=True)
        file.chmod(0o444)
        file.replace(target)
        with self._lock:
            self._checked[sha256] = _stamp(target)

    @contextmanager
    def _storing(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            hint = f"free some space there, or set another cache folder than {self._directory}" if full else None
            at = f" ({error.filename})" if error.filename else ""
            raise BlobError(f"cannot store {name} in {self._directory}: {error.strerror}{at}", hint=hint) from error


def _stamp(file: Path) -> tuple[int, int, int]:
    found = file.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _reading(source: Path | bytes) -> BytesIO | BufferedReader:
    return BytesIO(source) if isinstance(source, bytes) else source.open("rb")
