"""Append to a run's event log so that a power cut, a kill or a full disk costs at most the record being written.

A record is on the disk before anything that follows from it happens. Where a write fails midway its part is cut off
again, and the run's reserve (device_worker/reserve.py) lets the log still say that the disk is full.
"""

from __future__ import annotations

import fcntl
import os
import time

from device_worker.log_reader import LogReader
from device_worker.protocol.records import RECORD_BYTES_MAX, encode_record, has_too_many_parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class LogBusy(Exception):
    """Another process is appending to this log."""


class RecordTooLong(ValueError):
    """An event is too long for a record."""


class EventLog:
    """A log open for appending, by one process at a time; `history` is what it says so far, without the results.

    Opening cuts off a torn tail. A log that is damaged *before* its end (a whole record behind a broken one) cannot be
    continued, since records beyond the damage may have been followed already and their numbers must not be given
    twice: it is set aside, and a new log begins.
    """

    def __init__(self, path: str, wait: bool = True) -> None:
        self._path = path
        self._open(wait)
        reader, history = _replay(self._fd)
        if reader.has_records_beyond():
            os.rename(path, f"{path}.damaged-{time.time_ns()}")
            self.close()
            self._open(wait)
            reader, history = _replay(self._fd)
        self.history = history
        self.log_id = reader.log_id
        self.last_seq = reader.last_seq
        self._end = reader.offset
        if os.fstat(self._fd).st_size != self._end:
            os.ftruncate(self._fd, self._end)
            os.fsync(self._fd)

    def append(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Write one event through to the disk and return it; after an OSError the log is as it was before."""
        clocks = {"at_unix_ns": time.time_ns(), "at_mono_ns": time.monotonic_ns()}
        event = dict(fields, seq=self.last_seq + 1, kind=kind, **clocks)
        line = encode_record(event)
        if len(line) > RECORD_BYTES_MAX or has_too_many_parts(line):
            raise RecordTooLong(f"a {kind} event of {len(line)} bytes")
        try:
            written = 0
            while written < len(line):
                written += os.pwrite(self._fd, line[written:], self._end + written)
            os.fdatasync(self._fd)
        except OSError:
            os.ftruncate(self._fd, self._end)
            raise
        self._end += len(line)
        self.last_seq += 1
        if self.log_id is None:
            self.log_id = event.get("log_id")
        return event

    def close(self) -> None:
        """Give the log to the next process."""
        os.close(self._fd)

    def _open(self, wait: bool) -> None:
        is_new = not os.path.exists(self._path)
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise LogBusy(self._path) from None
        if is_new:
            sync_folder(os.path.dirname(self._path))


def _replay(fd: int) -> tuple[LogReader, list[dict[str, Any]]]:
    reader = LogReader(fd)
    results = ("metrics", "outputs")
    return reader, [{key: event[key] for key in event if key not in results} for event in reader.events()]


def sync_folder(path: str) -> None:
    """Make a folder's entries outlast a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
