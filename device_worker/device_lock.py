"""Let one runner at a time measure on the device.

The kernel's lock on an open file ends with its process, however that dies, so it can never be left behind. What the
file says is only who holds it, and, after a crash, whose children may still be about.
"""

from __future__ import annotations

import fcntl
import json
import os
import time

from device_worker.errors import WorkerError, is_disk_full
from device_worker.protocol.vocabulary import ErrorKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_HOLDER_READS_MAX = 50
_HOLDER_PAUSE_S = 0.01


class DeviceLock:
    """The lock, taken: `previous` is what the last holder left if it did not end in order, else None."""

    def __init__(self, path: str, holder: dict[str, Any]) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            found = self._read_holder()
            os.close(self._fd)
            raise busy(found) from None
        self.previous = self._read()
        try:
            self._write(json.dumps(holder, sort_keys=True).encode("ascii"))
        except OSError as error:
            if not (holder.get("task") and is_disk_full(error)):  # what makes room must not need any
                os.close(self._fd)
                raise

    def release(self) -> None:
        """Leave the lock in order: nothing is left for the next holder to clear up."""
        try:
            self._write(b"")
        except OSError:  # a disk that cannot be written any more: whoever comes next finds nothing left of us
            pass
        os.close(self._fd)

    def _read_holder(self) -> dict[str, Any] | None:
        """Return who holds the lock, who may have taken it a moment ago and not have said so yet."""
        for _ in range(_HOLDER_READS_MAX):
            found = self._read()
            if found is not None:
                return found
            time.sleep(_HOLDER_PAUSE_S)
        return None

    def _read(self) -> dict[str, Any] | None:
        return _parse(os.pread(self._fd, 4096, 0))

    def _write(self, data: bytes) -> None:
        os.pwrite(self._fd, data, 0)  # in place first: on a full disk what stands there is the only room there is
        os.ftruncate(self._fd, len(data))


def read_holder(path: str) -> dict[str, Any]:
    """Return who holds the lock, or left it behind in a crash; {} where nobody does. Takes nothing."""
    try:
        with open(path, "rb") as file:
            return _parse(file.read(4096)) or {}
    except OSError:
        return {}


def _parse(data: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(data.decode("utf-8"))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def busy(holder: dict[str, Any] | None) -> WorkerError:
    """Return what is told to those who find the lock taken."""
    holder = holder or {}
    if holder.get("task"):
        hint = "try again in a moment"
        return WorkerError(ErrorKind.DEVICE_BUSY, f"{holder['task']} is at work here", hint, holder=holder)
    run, who = holder.get("run"), holder.get("holder")
    return WorkerError(
        ErrorKind.DEVICE_BUSY,
        f"run {run or '(unknown)'}{f' of {who}' if who else ''} is measuring here"
        + _moment(" since", holder.get("since_unix"))
        + _moment(", until about", holder.get("until_unix")),
        "wait for it to end (--wait), or cancel it where it was begun: benchfleet runs cancel " + (run or "RUN"),
        holder=holder,
    )


def _moment(word: str, unix: Any) -> str:
    """Return a time by the device's own clock, or nothing where there is none."""
    return "" if type(unix) is not int else time.strftime(f"{word} %Y-%m-%d %H:%M:%S UTC", time.gmtime(unix))
