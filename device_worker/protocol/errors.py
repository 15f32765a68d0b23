"""Define the errors of the worker, and their form in an `error` message."""

from __future__ import annotations

import errno

from device_worker.protocol.vocabulary import ErrorKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_MESSAGE_CHARACTERS_MAX = 500
_STATE_HINT = "check the state folder's owner, mode and file system"
_HINTS = {
    errno.EIO: "the disk of the device fails: check the kernel's log (dmesg)",
    errno.EROFS: "the file system can only be read: check the kernel's log (dmesg), and remount it",
    errno.EMFILE: "the account may not open more files: ulimit -n, or LimitNOFILE of its service",
    errno.ENFILE: "the device has too many files open: look for what holds them (lsof), or restart the device",
    errno.ENOMEM: "the device is out of memory: end what takes it, or restart the device",
    errno.EAGAIN: "the account may not start more processes: ulimit -u, or TasksMax of its slice",
    errno.ESTALE: "the folder is on a network disk whose server has lost it: set state_dir: to a disk of the device",
}
"""What to do about errors that are not the state folder's own."""


class WorkerError(Exception):
    """A failed request: `kind` (one of ErrorKind), a message, and a hint for the remedy.

    `details` are further fields of the `error` message.
    """

    def __init__(self, kind: str, message: str, hint: str | None = None, **details: Any) -> None:
        if len(message) > _MESSAGE_CHARACTERS_MAX:  # a message may quote a value without bounds
            message = message[: _MESSAGE_CHARACTERS_MAX - 1] + "…"
        super().__init__(message)
        self.kind = kind
        self.hint = hint
        self.details = details

    def to_fields(self) -> dict[str, Any]:
        """Return the fields of the `error` message."""
        fields = dict(self.details, kind=self.kind, message=str(self))
        if self.hint:
            fields["hint"] = self.hint
        return fields


class BadBundle(ValueError):
    """The bundle is no zip archive, is damaged, or has a path outside the bundle's folder."""


class Interrupted(Exception):
    """Unpacking was stopped on request, and the partial folder was removed."""


def is_disk_full(error: OSError) -> bool:
    """Return True if the disk, or the user's quota, is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)  # EDQUOT: the disk has room, but not for the user


def from_os_error(error: OSError) -> WorkerError:
    """Return the error for the controller after a failed system call in the state folder."""
    if error.errno == errno.EDQUOT:
        return WorkerError(ErrorKind.DISK_FULL, f"no space left: {error}", "free space of the user's quota, then go on")
    if is_disk_full(error):  # of bytes, or of inodes: the kernel has one word for both
        hint = "free space on the device (df -h), or remove files (df -i), then go on"
        return WorkerError(ErrorKind.DISK_FULL, f"no space left: {error}", hint)
    return WorkerError(ErrorKind.STATE_DIR, str(error), _HINTS.get(error.errno or 0, _STATE_HINT))
