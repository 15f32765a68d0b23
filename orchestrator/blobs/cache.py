"""Keep the controller's blobs: one read-only file per content, named by the SHA-256 of the content."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader, BytesIO
from pathlib import Path

from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.errors import BlobError
from orchestrator.specs.hashing import chunks_of, sha256_of

_SHA256 = re.compile(r"[0-9a-f]{64}")


class BlobCache:
    """Store and hand out blobs in one folder, for any number of threads and processes at the same time.

    A file is written under a temporary name and renamed into place when complete. A reader therefore sees a whole file
    or none. `path` hashes each file once per process, and again after a change of the file. A pickled cache carries
    the folder only.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._checked: dict[str, tuple[int, int, int]] = {}

    def __reduce__(self) -> tuple[type[BlobCache], tuple[Path]]:
        return BlobCache, (self._directory,)

    def add(self, source: Path | bytes | BufferedReader, kind: BlobKind, name: str | None = None) -> Blob:
        """Copy a file, an opened file or bytes into the cache, unless the content is there already.

        `name` is shown to people. The default is the file's own name. Raise BlobError if the content cannot be stored.
        An opened file is closed at the end.
        """
        label = name or (source.name if isinstance(source, Path) else kind.value)
        with self._storing(label), _reading(source) as stream:
            sha256 = _sha256(stream, label)
            blob = Blob(sha256, stream.seek(0, os.SEEK_END), kind, label)
            if not self.holds(blob):
                # Hashed again while copying: the file may change between the hash above and the copy.
                blob = self._copy(stream, kind, label)
        return blob

    def adopt(self, file: Path, kind: BlobKind, name: str | None = None) -> Blob:
        """Move a file into the cache, without a copy where both are on one file system.

        Raise BlobError if the file cannot be stored.
        """
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
                # A rename cannot cross file systems.
                blob = self.add(file, kind, label)
                file.unlink()
        return blob

    def holds(self, blob: Blob) -> bool:
        """Return True if the cache has a file of the blob's hash and size. The file is not read."""
        try:
            return self._file(blob).stat().st_size == blob.size
        except FileNotFoundError:
            return False

    def path(self, blob: Blob) -> Path:
        """Return the blob's file with a checked content.

        Raise BlobError if the file is missing, unreadable or damaged. A damaged file is removed, so that the content
        can be added again.
        """
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
                raise BlobError(
                    f"cannot read {file}: {error.strerror}", hint="check its permissions, and its disk"
                ) from error
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

    def _copy(self, stream: BytesIO | BufferedReader, kind: BlobKind, name: str) -> Blob:
        """Copy a stream into the cache. The blob's hash is taken of the bytes copied."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)  # models may be confidential
        digest = hashlib.sha256()
        descriptor, incoming = tempfile.mkstemp(prefix=".incoming-", dir=self._directory)
        try:
            with os.fdopen(descriptor, "wb") as sink:
                for chunk in _chunks(stream, name):
                    digest.update(chunk)
                    sink.write(chunk)
                size = sink.tell()
                sink.flush()
                # Before the rename: after a power cut the name must not stand for a file without its content.
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
    # A file with the same inode, size and date counts as unchanged: hashing a large model at every use takes long.
    found = file.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _sha256(stream: BytesIO | BufferedReader, name: str) -> str:
    return hashlib.sha256(stream.getvalue()).hexdigest() if isinstance(stream, BytesIO) else sha256_of(stream, name)


def _chunks(stream: BytesIO | BufferedReader, name: str) -> Iterable[bytes]:
    return [stream.getvalue()] if isinstance(stream, BytesIO) else chunks_of(stream, name)


def _reading(source: Path | bytes | BufferedReader) -> BytesIO | BufferedReader:
    if isinstance(source, Path):
        return source.open("rb")
    return BytesIO(source) if isinstance(source, bytes) else source
