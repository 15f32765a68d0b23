"""Keep files by their SHA-256: shipped once, checked on arrival, never altered.

An upload is written in place into `SHA256.partial`, so that whatever arrived before a link dropped need not travel
again; it gets its name only when the bytes on the disk have been read back and hashed. Several controllers may send the
same file at once: each writes its chunks under the file's lock, all write the same bytes, and one of them completes it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os

from device_worker import mounts
from device_worker.errors import WorkerError, is_disk_full
from device_worker.event_log import sync_folder
from device_worker.protocol.vocabulary import ErrorKind
from device_worker.state_dir import is_sha256

CHUNK_BYTES_MAX = 4 << 20
_READ_BYTES = 1 << 20
_BLOB_MODE = 0o500  # never written again; executable, since programs are run as links to their blobs
_PARTIAL_MODE = 0o700


class BlobStore:
    """The blobs of one state folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def path(self, sha256: str) -> str:
        """Return where a blob lies once it is here."""
        return os.path.join(self._folder, sha256)

    def has(self, sha256: str, size: int) -> bool:
        """Say whether a blob is here, whole."""
        return _size_of(self.path(sha256)) == size

    def arrived_bytes(self, sha256: str, size: int) -> int:
        """Return how many bytes of an interrupted upload are here, for the rest to follow."""
        arrived = _size_of(self._partial(sha256))
        return arrived if arrived is not None and arrived < size else 0

    def free_bytes(self) -> int:
        """Return how much an ordinary user may still write."""
        return mounts.free_bytes(self._folder)

    def put(self, sha256: str, size: int, offset: int, data: bytes) -> bool:
        """Write one chunk at its offset; return whether that completed the blob."""
        if not is_sha256(sha256) or offset < 0 or offset + len(data) > size or len(data) > CHUNK_BYTES_MAX:
            raise WorkerError(ErrorKind.BAD_REQUEST, f"a chunk of {len(data)} bytes at {offset} of {size} does not fit")
        if self.has(sha256, size):
            return True
        arrived = self.arrived_bytes(sha256, size)
        if offset > arrived:
            raise WorkerError(ErrorKind.BAD_REQUEST, f"a chunk at {offset}, but {sha256} ends at {arrived} so far")
        self._check_room(sha256, size, offset)
        try:
            return self._write(sha256, size, offset, data)
        except OSError as error:
            if not is_disk_full(error):
                raise
            if os.path.exists(self._partial(sha256)):
                os.unlink(self._partial(sha256))
            raise self._full(sha256, size - offset) from None

    def _write(self, sha256: str, size: int, offset: int, data: bytes) -> bool:
        partial = self._partial(sha256)
        fd = _open_locked(partial)
        try:
            if self.has(sha256, size):  # somebody else was faster
                os.unlink(partial)
                return True
            if os.fstat(fd).st_size >= size:  # whatever this is, it is not the beginning of the file
                os.ftruncate(fd, 0)
            written = 0
            while written < len(data):
                written += os.pwrite(fd, data[written:], offset + written)
            if offset + len(data) < size:
                return False
            os.fsync(fd)
            if _hash(fd) != sha256:
                os.unlink(partial)
                raise WorkerError(ErrorKind.BLOB_CORRUPT, f"{sha256} arrived with another SHA-256", "send it again")
            os.fchmod(fd, _PARTIAL_MODE)  # an older release's was not executable
            os.rename(partial, self.path(sha256))
            os.fchmod(fd, _BLOB_MODE)  # only now: others open the partial to write, after a power cut too
        finally:
            os.close(fd)
        sync_folder(self._folder)
        return True

    def _check_room(self, sha256: str, size: int, offset: int) -> None:
        if size - offset > self.free_bytes():
            raise self._full(sha256, size - offset)

    def _full(self, sha256: str, needed: int) -> WorkerError:
        free = self.free_bytes()
        return WorkerError(
            ErrorKind.DISK_FULL,
            f"{sha256} needs {needed / 1e6:.1f} MB more and {free / 1e6:.1f} MB are free in {self._folder}",
            "free space on the device, or set its state_dir to a larger file system in the inventory",
            needed_bytes=needed,
            free_bytes=free,
        )

    def _partial(self, sha256: str) -> str:
        return self.path(sha256) + ".partial"


def _open_locked(path: str) -> int:
    """Open a file that others may be writing, renaming or removing, when it is this process's turn."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PARTIAL_MODE)
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            if os.path.samestat(os.fstat(fd), os.stat(path)):
                return fd
        except FileNotFoundError:
            pass
        os.close(fd)


def _size_of(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None


def _hash(fd: int) -> str:
    digest = hashlib.sha256()
    offset = 0
    while True:
        data = os.pread(fd, _READ_BYTES, offset)
        if not data:
            return digest.hexdigest()
        digest.update(data)
        offset += len(data)
