"""Unpack each runtime bundle once, so that its folder is complete or absent."""

from __future__ import annotations

import os

from device_worker.state.event_log import sync_folder
from device_worker.system.folders import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable


class BundleStore:
    """The unpacked bundles of a state folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def unpack(self, archive: str, sha256: str, is_interrupted: Callable[[], bool]) -> str:
        """Return the folder of an unpacked bundle. Unpack the archive first if the folder is missing.

        `is_interrupted` is called before each file, since a slow device unpacks for many seconds. Raise BadBundle,
        Interrupted or OSError. No part of the bundle is left then.
        """
        home = os.path.join(self._folder, sha256)
        if os.path.isdir(home):
            return home
        from device_worker.state.unpacking import extract  # imports zipfile, which most starts do not need

        partial = f"{home}.partial"
        remove_tree(partial)
        try:
            os.makedirs(partial, 0o700)
            extract(archive, partial, is_interrupted)
            # One sync of the whole system is cheaper than an fsync of each of thousands of small files. The sync must
            # come before the rename, so that a power cut leaves no incomplete folder under the final name.
            os.sync()
            os.rename(partial, home)
            sync_folder(self._folder)
        except BaseException:
            remove_tree(partial)
            raise
        return home
