"""Store files by SHA-256: sent once, checked on arrival, never altered.

An upload is written in place into `SHA256.partial`. After a dropped link, the controller sends the missing bytes only.
The final name is given after the bytes on the disk have been read back and hashed. Several controllers may send the
same file at once. Each chunk is written under the file's lock, and the last missing chunk completes the blob.
"""

from __future__ import annotations

import fcntl
import os

from device_worker.protocol.errors import WorkerError, is_disk_full
from device_worker.protocol.fields import is_sha256
from device_worker.protocol.printable import byte_count_text
from device_worker.protocol.vocabulary import ErrorKind
from device_worker.state.event_log import sync_folder
from device_worker.system import mounts

CHUNK_BYTES_MAX = 4 << 20
_READ_BYTES = 1 << 20
_BLOB_MODE = 0o500  # read-only: a blob never changes. Executable: a program runs as a link to its blob.
_PARTIAL_MODE = 0o700


class BlobStore:
    """The complete and the partly arrived blobs of a state folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def path(self, sha256: str) -> str:
        """Return the path of a complete blob, present or not."""
        return os.path.join(self._folder, sha256)

    def has(self, sha256: str, size: int) -> bool:
        """Return True if the complete blob is here."""
        return _size_of(self.path(sha256)) == size

    def arrived_bytes(self, sha256: str, size: int) -> int:
        """Return the offset in bytes at which to continue an interrupted upload."""
        arrived = _size_of(self._partial(sha256))
        return arrived if arrived is not None and arrived < size else 0

    def free_bytes(self) -> int:
        """Return the free bytes for an ordinary user (not root)."""
        return mounts.free_bytes(self._folder)

    def put(self, sha256: str, size: int, offset: int, data: bytes) -> bool:
        """Write a chunk of an upload, and return True if the blob is now complete.

        `size` and `offset` are bytes of the whole file. `data` is at most CHUNK_BYTES_MAX long. Raise WorkerError:
        BAD_REQUEST for a chunk outside the file or behind a gap, DISK_FULL, or BLOB_CORRUPT if the complete file has
        another SHA-256.
        """
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
            # The bytes that have arrived would keep the disk full.
            if os.path.exists(self._partial(sha256)):
                os.unlink(self._partial(sha256))
            raise self._full(sha256, size - offset) from None

    def _write(self, sha256: str, size: int, offset: int, data: bytes) -> bool:
        partial = self._partial(sha256)
        fd = _open_locked(partial)
        try:
            if self.has(sha256, size):  # another controller has completed the blob while we waited for the lock
                os.unlink(partial)
                return True
            if os.fstat(fd).st_size >= size:  # too long for the first part of an upload: begin again
                os.ftruncate(fd, 0)
            written = 0
            while written < len(data):
                written += os.pwrite(fd, data[written:], offset + written)
            if offset + len(data) < size:
                return False
            os.fsync(fd)  # before the rename: a power cut must not leave the name without the bytes
            if _hash(fd) != sha256:
                os.unlink(partial)
                raise WorkerError(ErrorKind.BLOB_CORRUPT, f"{sha256} arrived with another SHA-256", "send it again")
            os.fchmod(fd, _PARTIAL_MODE)  # a partial of an older release was not executable
            os.rename(partial, self.path(sha256))
            # Read-only after the rename only. A read-only partial would lock out other controllers of the same user,
            # and after a power cut here every later upload of the blob.
            os.fchmod(fd, _BLOB_MODE)
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
            f"{sha256} needs {byte_count_text(needed)} more and {byte_count_text(free)} are free in {self._folder}",
            "free space on the device, or set its state_dir to a larger file system in the inventory",
            needed_bytes=needed,
            free_bytes=free,
        )

    def _partial(self, sha256: str) -> str:
        return self.path(sha256) + ".partial"


def _open_locked(path: str) -> int:
    """Open a partial file, wait for its lock, and return the file descriptor."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PARTIAL_MODE)
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            # The lock belongs to an inode, not to a name: while we waited, another process may have renamed the file.
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
    import hashlib  # loads OpenSSL, which only an upload needs

    digest = hashlib.sha256()
    offset = 0
    while True:
        data = os.pread(fd, _READ_BYTES, offset)
        if not data:
            return digest.hexdigest()
        digest.update(data)
        offset += len(data)
