"""Pack the device worker as a zipapp, and read the loader which receives the zipapp on a device."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from orchestrator.blobs.archive import STORED, Member, archive_bytes

PACKAGE = "device_worker"

_MAIN = b"import runpy\n\nrunpy.run_module('device_worker', run_name='__main__', alter_sys=True)\n"
_LEFT_OUT = ("__pycache__", "tests")


@cache
def loader_source() -> str:
    """Return the program for the `-c` argument of a device's Python."""
    return files(PACKAGE).joinpath("loader.py").read_text(encoding="utf-8")


@cache
def worker_archive() -> tuple[bytes, str]:
    """Return the zipapp and its SHA-256 in hex.

    The same sources give the same bytes on every controller, so that a device shared by several controllers keeps one
    copy.
    """
    members = [Member("__main__.py", _MAIN), *_members(files(PACKAGE), PACKAGE)]
    # Stored, not compressed: a small program gains little, and compressed bytes depend on the zlib in use.
    archive = archive_bytes(members, level=STORED)
    return archive, hashlib.sha256(archive).hexdigest()


def _members(folder: Traversable, prefix: str) -> Iterator[Member]:
    for entry in folder.iterdir():
        name = f"{prefix}/{entry.name}"
        if entry.is_dir():
            if entry.name not in _LEFT_OUT:
                yield from _members(entry, name)
        elif not entry.name.startswith(".") and not entry.name.endswith(".pyc"):
            yield Member(name, entry.read_bytes())
