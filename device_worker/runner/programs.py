"""Identify a program of the device by content, since an upgrade changes the program and not its name."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.runner.trial_process import TrialCommand

_READ_BYTES = 1 << 20
_VERSION_DIGITS = 12


class Program:
    """A program file on the device. `sha256` is None if the file may be executed but not read."""

    __slots__ = ("path", "sha256")

    def __init__(self, path: str, sha256: str | None) -> None:
        self.path = path
        self.sha256 = sha256

    def sign(self, runtime: dict[str, Any] | None) -> dict[str, Any]:
        """Return a trial's account of the runtime with the program's path and SHA-256 added.

        If the trial has told no version, the first digits of the SHA-256 serve as the version.
        """
        signed = dict(runtime or {}, program_path=self.path, program_sha256=self.sha256)
        if signed.get("version") is None and self.sha256 is not None:
            signed["version"] = f"sha256:{self.sha256[:_VERSION_DIGITS]}"
        return signed


class Programs:
    """Finds programs in the order of execvp(3), and hashes a program again only after a change of the file."""

    def __init__(self) -> None:
        self._hashes: dict[tuple[str, int, int, int, int], str | None] = {}

    def find(self, launch: TrialCommand) -> Program | None:
        """Return the program of a launch, or None if there is none or if the program is a file of the job."""
        word = launch.argv[0]
        folder = os.path.realpath(launch.cwd)
        for place in [""] if "/" in word else os.get_exec_path(launch.environment):
            found = os.path.join(folder, place, word)
            if os.path.isfile(found) and os.access(found, os.X_OK):
                path = os.path.realpath(found)  # last: a system call for each folder of the path
                # A file of the job is identified by its blob already.
                return None if path.startswith(folder + "/") else Program(path, self._hash(path))
        return None

    def _hash(self, path: str) -> str | None:
        try:
            with open(path, "rb") as file:
                found = os.fstat(file.fileno())
                stamp = (path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
                if stamp not in self._hashes:
                    import hashlib  # loads OpenSSL, which a runner without `exec` jobs does not need

                    digest = hashlib.sha256()
                    for data in iter(lambda: file.read(_READ_BYTES), b""):
                        digest.update(data)
                    self._hashes[stamp] = digest.hexdigest()
                return self._hashes[stamp]
        except OSError:
            return None
