"""Give each attempt a fresh folder with the job's files under plain names."""

from __future__ import annotations

import errno
import os
import time

from device_worker.system.folders import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from device_worker.protocol.files import JobFile
    from device_worker.state.blobs import BlobStore

_NO_HARD_LINKS = (errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EXDEV, errno.ENOSYS)


class MissingFile(Exception):
    """The file of a job is missing on the device."""


class Workspace:
    """The folder of an attempt, to be used as a context manager.

    The files are hard links to blobs, executable and not writable. Where the file system has no hard links, the files
    are copies. `files` are the paths of the files.
    """

    def __init__(self, path: str, blobs: BlobStore) -> None:
        self.path = path
        self.files: list[str] = []
        self._blobs = blobs

    def __enter__(self) -> Workspace:
        self._remove()
        try:
            os.makedirs(self.path, 0o700)
        except FileExistsError:  # a folder that cannot be removed must not end the runner: put the folder aside
            os.rename(self.path, f"{self.path}.left-{time.time_ns()}")
            os.makedirs(self.path, 0o700)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._remove()

    def add(self, file: JobFile) -> str:
        """Place a file of the job in the folder and return the path. Raise MissingFile if the blob is not here."""
        if not self._blobs.has(file.sha256, file.size):
            raise MissingFile(f"{file.name} ({file.sha256}) is not on this device")
        blob, path = self._blobs.path(file.sha256), os.path.join(self.path, file.name)
        if os.path.exists(path):  # a model that is also among the files
            return path
        self.files.append(path)
        try:
            # No symbolic link: a program that looks for files beside itself would look in the folder of blobs.
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
