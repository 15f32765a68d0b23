"""Give each attempt a fresh folder with the job's files under their own names."""

from __future__ import annotations

import errno
import os
import time

from device_worker.folders import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.blobs import BlobStore

_NO_HARD_LINKS = (errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EXDEV, errno.ENOSYS)


class MissingFile(Exception):
    """A file of the job is not on this device."""


class Workspace:
    """A folder that exists for one attempt; files in it are hard links to their blobs, executable and not writable.

    A hard link costs nothing and, unlike a symbolic one, keeps a program that looks for its neighbours by its own path
    in this folder. Where the file system has none, files are copied.
    """

    def __init__(self, path: str, blobs: BlobStore) -> None:
        self.path = path
        self._blobs = blobs

    def __enter__(self) -> Workspace:
        self._remove()
        try:
            os.makedirs(self.path, 0o700)
        except FileExistsError:  # what an earlier trial left cannot be removed: it goes with the run, and ends no other
            os.rename(self.path, f"{self.path}.left-{time.time_ns()}")
            os.makedirs(self.path, 0o700)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._remove()

    def add(self, file: dict[str, Any] | None) -> str | None:
        """Place one of the job's files and return its path; None for none."""
        if file is None:
            return None
        if not self._blobs.has(file["sha256"], file["size"]):
            raise MissingFile(f"{file['name']} ({file['sha256']}) is not on this device")
        blob, path = self._blobs.path(file["sha256"]), os.path.join(self.path, file["name"])
        if os.path.exists(path):  # a model that is also among the files
            return path
        try:
            os.link(blob, path)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            import shutil

            shutil.copyfile(blob, path)
            os.chmod(path, 0o500)
        return path

    def _remove(self) -> None:
        remove_tree(self.path)
