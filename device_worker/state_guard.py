"""Accept a state folder before anything is written to it: a folder of our own, private, on a disk of this device.

What lies in a folder that is refused, an older release's logs for one, can still be followed and cleared away.
"""

from __future__ import annotations

import errno
import os
import stat

from device_worker import mounts
from device_worker.errors import WorkerError
from device_worker.protocol.vocabulary import ErrorKind

_OTHERS = 0o077
_OWN_NAMES = frozenset(
    ("worker", "blobs", "bundles", "runs", "claims", "lock", "cache.lock", "leases", "leases.partial")
)
_REMEDY = "set state_dir: in the inventory to a folder of its own, on a disk of the device"


def refusal_of(path: str) -> WorkerError | None:
    """Make the state folder private; return why nothing may be written there, if so."""
    try:
        accept_state_dir(path)
    except WorkerError as error:
        return error
    return None


def accept_state_dir(path: str) -> None:
    """Make the state folder private, or raise WorkerError with the remedy.

    A folder that others may write was refused by the loader already. One that they may only read is made private if
    nothing but ours is in it: a home folder or a disk's root belongs to somebody who chose its mode.
    """
    kind = mounts.file_system_of(path)
    if mounts.is_network(kind):
        message = f"{path} is on a network file system ({kind}), where locks and syncs cannot be relied on"
        raise WorkerError(ErrorKind.STATE_DIR, message, _REMEDY)
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if not mode & _OTHERS:
        return
    strangers = sorted(set(os.listdir(path)) - _OWN_NAMES)
    if strangers:
        message = f"{path} may be read by others (mode {mode:04o}) and holds what is not ours, {strangers[0]!r} for one"
        raise WorkerError(ErrorKind.STATE_DIR, message, f"chmod 700 {path} on the device, or {_REMEDY}")
    try:
        os.chmod(path, 0o700)
    except OSError as error:
        if error.errno == errno.EROFS:  # what lies there can still be collected
            return
        message = f"{path} may be read by others (mode {mode:04o}) and cannot be made private: {error}"
        raise WorkerError(ErrorKind.STATE_DIR, message, _REMEDY) from None
