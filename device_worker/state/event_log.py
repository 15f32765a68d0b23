"""Append to a run's event log, and lose at most the last record to a power cut, a kill or a full disk.

A record is on the disk before the runner acts on the record. If a write fails midway, the written part is cut off
again. The run's reserve (device_worker/state/log_reserve.py) keeps room for the record of a full disk.
"""

from __future__ import annotations

import fcntl
import os
import time

from device_worker.protocol.records import RECORD_BYTES_MAX, encode_record, has_too_many_parts
from device_worker.state.file_lock import try_lock
from device_worker.state.log_reader import LogReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class LogBusy(Exception):
    """Another process has the log open for appending."""


class RecordTooLong(ValueError):
    """The encoded event is longer, or has more parts, than a record may have."""


class EventLog:
    """A log open for appending, by a single process at a time.

    `history` holds the earlier events without metrics and outputs. Opening cuts off a torn tail. A log with damage
    before the end is set aside as `log.damaged-TIME`, and a new log begins. Raise LogBusy if `wait` is False and
    another process has the log open.
    """

    def __init__(self, path: str, wait: bool = True) -> None:
        self._path = path
        self._open(wait)
        reader, history = _replay(self._fd)
        if reader.has_records_beyond():
            # The records beyond the damage may be in a database already, and a sequence number is never given twice.
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
        """Write an event through to the disk, and return the event with sequence number and times.

        Raise RecordTooLong or OSError. Either leaves the log unchanged.
        """
        clocks = {"at_unix_ns": time.time_ns(), "at_mono_ns": time.monotonic_ns()}
        event = dict(fields, seq=self.last_seq + 1, kind=kind, **clocks)
        line = encode_record(event)
        if len(line) > RECORD_BYTES_MAX or has_too_many_parts(line):
            raise RecordTooLong(f"a {kind} event of {len(line)} bytes")
        try:
            written = 0
            while written < len(line):
                written += os.pwrite(self._fd, line[written:], self._end + written)
            os.fdatasync(self._fd)  # enough: fdatasync(2) covers the file's new length
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
        if wait:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        elif not try_lock(self._fd):
            os.close(self._fd)
            raise LogBusy(self._path)
        if is_new:  # without the folder's entry, a power cut would lose the whole file, synced records and all
            sync_folder(os.path.dirname(self._path))


def _replay(fd: int) -> tuple[LogReader, list[dict[str, Any]]]:
    reader = LogReader(fd)
    results = (
        "metrics",
        "outputs",
        "input_results",
    )  # most of a log's bytes, and none of them tells how far the run is
    return reader, [{key: event[key] for key in event if key not in results} for event in reader.events()]


def sync_folder(path: str) -> None:
    """Sync a folder's entries, so that new and renamed files outlast a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
