"""Unpack the zip archive of a runtime bundle.

The import of zipfile costs a slow device milliseconds. `bundles` therefore imports `unpacking` only for a bundle
without an unpacked folder.
"""

from __future__ import annotations

import errno
import os
import stat
import zipfile
import zlib

from device_worker.protocol.errors import BadBundle, Interrupted
from device_worker.system import mounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

_COPY_BYTES = 1 << 20
_BAD_ARCHIVE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,  # a compression method that this Python does not know
    RuntimeError,  # encrypted
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
)


def extract(archive: str, target: str, is_interrupted: Callable[[], bool]) -> None:
    """Unpack an archive into an empty folder, and call `is_interrupted` before each file.

    Raise BadBundle for a damaged archive or a path outside the folder, Interrupted once `is_interrupted` returns True,
    or OSError.
    """
    try:
        with zipfile.ZipFile(archive) as bundle:
            members = bundle.infolist()
            _check_room(sum(member.file_size for member in members), target)
            for member in members:
                if is_interrupted():
                    raise Interrupted(member.filename)
                _extract_member(bundle, member, target)
    except _BAD_ARCHIVE as error:
        raise BadBundle(f"not a bundle: {error}") from error


def _check_room(needed: int, target: str) -> None:
    free = mounts.free_bytes(target)
    if needed > free:
        raise OSError(errno.ENOSPC, f"a bundle unpacks to {needed} bytes and {free} are free", target)


def _extract_member(bundle: zipfile.ZipFile, member: zipfile.ZipInfo, target: str) -> None:
    name = member.filename
    mode = member.external_attr >> 16  # the Unix mode, 0 if the zip was made on another system
    if name.startswith("/") or "\\" in name or "\0" in name or ".." in name.split("/"):
        raise BadBundle(f"the bundle's {name!r} would lie outside its folder")
    if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_IFMT(mode) == 0):
        raise BadBundle(f"the bundle's {name!r} is neither a file nor a folder")
    path = os.path.join(target, name)
    if name.endswith("/"):
        os.makedirs(path, 0o700, exist_ok=True)
        return
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    with bundle.open(member) as packed, open(path, "xb") as file:
        remaining = member.file_size
        while True:
            data = packed.read(_COPY_BYTES)
            remaining -= len(data)
            if remaining < 0:  # the room was checked by the sizes that the archive states: hold the archive to them
                raise BadBundle(f"the bundle's {name!r} is longer than it says")
            if not data:
                break
            file.write(data)
        os.fchmod(file.fileno(), 0o700 if mode & 0o111 else 0o600)
    if remaining:
        raise BadBundle(f"the bundle's {name!r} is shorter than it says")
