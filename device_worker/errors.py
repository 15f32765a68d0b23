"""What the worker tells the controller when it cannot do what it was asked."""

from __future__ import annotations

import errno

from device_worker.protocol.vocabulary import ErrorKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_MESSAGE_CHARACTERS_MAX = 500


class WorkerError(Exception):
    """What failed, as one of `ErrorKind` and in words, and what to do about it.

    `details` are further fields of the answer.
    """

    def __init__(self, kind: str, message: str, hint: str | None = None, **details: Any) -> None:
        if len(message) > _MESSAGE_CHARACTERS_MAX:  # it quotes something endless
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


def is_disk_full(error: OSError) -> bool:
    """Say whether an error means that the disk, or this user's share of it, is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def from_os_error(error: OSError) -> WorkerError:
    """Return what the controller is told of a failed system call in the state folder."""
    if is_disk_full(error):
        return WorkerError(ErrorKind.DISK_FULL, f"no space left: {error}", "free space on the device, then go on")
    return WorkerError(ErrorKind.STATE_DIR, str(error), "check the state folder's owner, mode and file system")
