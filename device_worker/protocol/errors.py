"""Define the errors of the worker, and their form in an `error` message."""

from __future__ import annotations

import errno

from device_worker.protocol.vocabulary import ErrorKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_MESSAGE_CHARACTERS_MAX = 500


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
    if is_disk_full(error):
        return WorkerError(ErrorKind.DISK_FULL, f"no space left: {error}", "free space on the device, then go on")
    return WorkerError(ErrorKind.STATE_DIR, str(error), "check the state folder's owner, mode and file system")
