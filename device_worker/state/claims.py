"""Claim blobs of the cache for a conversation, so that no other session removes the blobs.

Between the upload and the start of a run, no run folder names the run's blobs yet. A claim is a file with the identity
of the claiming process, and ends with the process. An interrupted conversation therefore leaves no claim behind.
"""

from __future__ import annotations

import json
import os

from device_worker.state.state_dir import names_in
from device_worker.system.process_identity import ProcessIdentity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable


class Claims:
    """The claims in a state folder. Callers of `make` and `alive` must hold the cache's lock."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def make(self, sha256s: Iterable[str]) -> None:
        """Claim blobs for the calling process, in place of earlier claims."""
        path = self._own_path()
        with open(path + ".partial", "w", encoding="ascii") as file:
            json.dump(dict(ProcessIdentity.of_self().to_json(), blobs=sorted(sha256s)), file)
        os.rename(path + ".partial", path)

    def release(self) -> None:
        """Give back the claims of the calling process, if there are any."""
        try:
            os.unlink(self._own_path())
        except OSError:  # no claim was made, or the disk is read-only. A claim that stays behind ends with our process.
            pass

    def alive(self) -> dict[str, int]:
        """Return each claimed SHA-256 with the number of a live claiming process.

        The claims of dead processes are removed.
        """
        claimed: dict[str, int] = {}
        for name in names_in(self._folder):
            path = os.path.join(self._folder, name)
            claimant = ProcessIdentity.read(path)
            if claimant is not None and claimant.is_alive:
                claimed.update((sha256, claimant.pid) for sha256 in _blobs_of(path))
            else:
                _remove(path)
        return claimed

    def _own_path(self) -> str:
        return os.path.join(self._folder, str(os.getpid()))


def _blobs_of(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii") as file:
            return [str(sha256) for sha256 in json.load(file)["blobs"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
