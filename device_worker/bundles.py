"""Unpack runtime bundles, once each, so that they appear whole or not at all."""

from __future__ import annotations

import os

from device_worker.event_log import sync_folder
from device_worker.folders import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable


class BadBundle(ValueError):
    """A bundle is not an archive that may be unpacked."""


class Interrupted(Exception):
    """Unpacking was broken off; nothing of the bundle is left."""


class BundleStore:
    """The unpacked bundles of one state folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def unpack(self, archive: str, sha256: str, is_interrupted: Callable[[], bool]) -> str:
        """Return the folder of an unpacked bundle, unpacking it first if it is not there.

        A bundle may take a slow device many seconds, so that `is_interrupted` is asked before each of its files.
        """
        home = os.path.join(self._folder, sha256)
        if os.path.isdir(home):
            return home
        from device_worker.unpacking import extract

        partial = f"{home}.partial"
        remove_tree(partial)
        try:
            os.makedirs(partial, 0o700)
            extract(archive, partial, is_interrupted)
            os.sync()  # one for thousands of small files: after a power cut a bundle is whole or not there
            os.rename(partial, home)
            sync_folder(self._folder)
        except BaseException:
            remove_tree(partial)
            raise
        return home
