"""Tell others on the device which blobs a conversation is about to use.

Between the upload and the start of a run no run folder names its blobs yet. A claim holds for as long as the very
process that made it lives, so that one of a conversation that was cut off never needs to be given back.
"""

from __future__ import annotations

import json
import os

from device_worker.process_identity import ProcessIdentity
from device_worker.state_dir import names_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable


class Claims:
    """The claims in one state folder; whoever makes or reads them holds the cache's lock."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def make(self, sha256s: Iterable[str]) -> None:
        """Claim blobs for the calling process, in the place of what it claimed before."""
        path = self._own_path()
        with open(path + ".partial", "w", encoding="ascii") as file:
            json.dump(dict(ProcessIdentity.of_self().to_json(), blobs=sorted(sha256s)), file)
        os.rename(path + ".partial", path)

    def release(self) -> None:
        """Give back what the calling process claimed, if anything."""
        try:
            os.unlink(self._own_path())
        except OSError:  # none was made, or it stays behind on a disk that cannot be written: it dies with us
            pass

    def alive(self) -> dict[str, int]:
        """Return the blobs that live processes claim, each with one of them; remove the claims of dead ones."""
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
