"""Identify a program that is not shipped but found on the device: what it is called may stay when it is replaced."""

from __future__ import annotations

import hashlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.trial_process import Launch

_READ_BYTES = 1 << 20
_VERSION_DIGITS = 12


class Program:
    """A file on the device that a trial executes; `sha256` is None where it may be executed but not read."""

    __slots__ = ("path", "sha256")

    def __init__(self, path: str, sha256: str | None) -> None:
        self.path = path
        self.sha256 = sha256

    def sign(self, runtime: dict[str, Any] | None) -> dict[str, Any]:
        """Return what a trial says of its runtime with the program added, its hash for a version that was not said."""
        signed = dict(runtime or {}, program_path=self.path, program_sha256=self.sha256)
        if signed.get("version") is None and self.sha256 is not None:
            signed["version"] = f"sha256:{self.sha256[:_VERSION_DIGITS]}"
        return signed


class Programs:
    """Finds programs as an exec would, and reads each only once as long as it stays the same."""

    def __init__(self) -> None:
        self._hashes: dict[tuple[str, int, int, int, int], str | None] = {}

    def find(self, launch: Launch) -> Program | None:
        """Return the program that will be started; None where there is none, or where it is one of the job's files."""
        word = launch.argv[0]
        folder = os.path.realpath(launch.cwd)
        for place in [""] if "/" in word else os.get_exec_path(launch.environment):
            path = os.path.realpath(os.path.join(folder, place, word))
            if os.path.isfile(path) and os.access(path, os.X_OK):
                return None if path.startswith(folder + "/") else Program(path, self._hash(path))
        return None

    def _hash(self, path: str) -> str | None:
        try:
            with open(path, "rb") as file:
                found = os.fstat(file.fileno())
                stamp = (path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
                if stamp not in self._hashes:
                    digest = hashlib.sha256()
                    for data in iter(lambda: file.read(_READ_BYTES), b""):
                        digest.update(data)
                    self._hashes[stamp] = digest.hexdigest()
                return self._hashes[stamp]
        except OSError:
            return None
