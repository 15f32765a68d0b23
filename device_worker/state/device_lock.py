"""Let one runner at a time measure on the device.

The kernel ends a lock on an open file with the process, so that even a killed runner leaves no lock behind. The content
of the file names the holder. After a crash the content names the killed runner, since trials may still be running.
"""

from __future__ import annotations

import json
import os
import time

from device_worker.protocol.errors import WorkerError, is_disk_full
from device_worker.protocol.vocabulary import ErrorKind
from device_worker.state.file_lock import try_lock
from device_worker.system.process_identity import ProcessIdentity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.protocol.start import StartOrder


_HOLDER_READS_MAX = 50
_HOLDER_PAUSE_S = 0.01


class DeviceLock:
    """The device lock, taken by the calling process.

    `holder` is a JSON object for others to read: run, person and times of a runner, or the `task` of a cleaning. If the
    last holder crashed, `previous` is the object in the file, otherwise None. Raise WorkerError (DEVICE_BUSY) if
    another process holds the lock.
    """

    def __init__(self, path: str, holder: dict[str, Any]) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not try_lock(self._fd):
            found = self._read_holder()
            os.close(self._fd)
            raise busy(found)
        self.previous = self._read()
        try:
            self._write(json.dumps(holder, sort_keys=True).encode("ascii"))
        except OSError as error:
            # A cleaning makes room on a full disk, and must start there without room for its own name.
            if not (holder.get("task") and is_disk_full(error)):
                os.close(self._fd)
                raise

    def release(self) -> None:
        """Empty the lock's file and give up the lock: the next holder has no crash to clear up."""
        try:
            self._write(b"")
        except OSError:  # read-only disk: the next holder searches for leftovers of our trials, and finds none
            pass
        os.close(self._fd)

    def _read_holder(self) -> dict[str, Any] | None:
        """Return the object of the lock's holder, or what stands there if the holder writes no object in time."""
        # A holder takes the lock first and writes its object a moment later, over that of a runner that crashed.
        for _ in range(_HOLDER_READS_MAX):
            found = self._read()
            writer = ProcessIdentity.from_json(found)
            if found is not None and (writer is None or writer.is_alive):
                return found
            time.sleep(_HOLDER_PAUSE_S)
        return found  # in another container numbers of processes mean something else

    def _read(self) -> dict[str, Any] | None:
        return _parse(os.pread(self._fd, 4096, 0))

    def _write(self, data: bytes) -> None:
        os.pwrite(self._fd, data, 0)  # before the truncation: on a full disk the old content is the only room
        os.ftruncate(self._fd, len(data))


def describe_run(run: str, request: StartOrder) -> dict[str, Any]:
    """Return what the lock says of a run that holds the device; times are of the device's own clock."""
    since_unix, lease = int(time.time()), request.lease
    until_unix = None if lease is None or lease.estimate_s is None else since_unix + int(lease.estimate_s)
    return {
        "run": run,
        "plan_sha256": request.plan_sha256,
        "holder": None if lease is None else lease.holder,
        "since_unix": since_unix,
        "until_unix": until_unix,
    }


def read_holder(path: str) -> dict[str, Any]:
    """Return the object of the present holder, or of a crashed holder, without taking the lock. Return {} if none."""
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
    """Return a DEVICE_BUSY error with the lock's holder, the time of the start and the likely time of the end."""
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
    """Return a time of the device's own clock as text, or "" if `unix` is no whole number of seconds."""
    return "" if type(unix) is not int else time.strftime(f"{word} %Y-%m-%d %H:%M:%S UTC", time.gmtime(unix))
