"""Check the state folder before the first write: private, without foreign files, and on a local disk.

A refused folder can still be read: the logs of an older release there can be followed, forgotten and cleaned.
"""

from __future__ import annotations

import errno
import os
import stat

from device_worker.protocol.errors import WorkerError
from device_worker.protocol.vocabulary import ErrorKind
from device_worker.system import mounts

_OTHERS = 0o077
_OWN_NAMES = frozenset(
    (
        "worker",
        "blobs",
        "bundles",
        "runs",
        "claims",
        "lock",
        "cache.lock",
        "leases",
        "leases.partial",
        "governor",
        "governor.partial",
    )
)
_REMEDY = "set state_dir: in the inventory to a folder of its own, on a disk of the device"


def refusal_of(path: str) -> WorkerError | None:
    """Make the state folder private, and return None, or the error if the folder must not be written."""
    try:
        accept_state_dir(path)
    except WorkerError as error:
        return error
    return None


def accept_state_dir(path: str) -> None:
    """Make the state folder private, or raise WorkerError (STATE_DIR) with the remedy.

    The loader has already refused a folder writable by other users. A folder readable by other users is made private
    only if all files in the folder are ours.
    """
    kind = mounts.file_system_of(path)
    if mounts.is_network(kind):
        message = f"{path} is on a network file system ({kind}), where locks and syncs cannot be relied on"
        raise WorkerError(ErrorKind.STATE_DIR, message, _REMEDY)
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if not mode & _OTHERS:
        return
    # Foreign files mean a home folder or the root of a disk, and the mode of such a folder is its owner's choice.
    strangers = sorted(set(os.listdir(path)) - _OWN_NAMES)
    if strangers:
        message = f"{path} may be read by others (mode {mode:04o}) and holds foreign files, {strangers[0]!r} for one"
        raise WorkerError(ErrorKind.STATE_DIR, message, f"chmod 700 {path} on the device, or {_REMEDY}")
    try:
        os.chmod(path, 0o700)
    except OSError as error:
        if error.errno == errno.EROFS:  # nothing new can be written there, and old logs can still be collected
            return
        message = f"{path} may be read by others (mode {mode:04o}) and cannot be made private: {error}"
        raise WorkerError(ErrorKind.STATE_DIR, message, _REMEDY) from None
