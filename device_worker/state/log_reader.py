"""Read an event log from the beginning, in batches of bounded size."""

from __future__ import annotations

import os

from device_worker.protocol.records import RECORD_BYTES_MAX, CorruptRecord, decode_record, split_records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

BATCH_BYTES = 1 << 20
_LINE_BYTES_MAX = RECORD_BYTES_MAX + 64


class Batch:
    """Consecutive whole records: `events` as objects and `lines` as the bytes of the same records."""

    __slots__ = ("events", "lines")

    def __init__(self, events: list[dict[str, Any]], lines: list[bytes]) -> None:
        self.events = events
        self.lines = lines

    def after(self, seq: int) -> Batch | None:
        """Return the records after number `seq`, or None if the batch has none."""
        count = sum(event["seq"] > seq for event in self.events)
        return Batch(self.events[-count:], self.lines[-count:]) if count else None


class LogReader:
    """A position in a growing log. All records before the position are whole, valid and without gaps.

    `offset` is the position in bytes. `last_seq`, `last_event` and `log_id` are from the records before the position.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.offset = 0
        self.last_seq = 0
        self.log_id: str | None = None
        self.last_event: dict[str, Any] | None = None

    def read_batch(self) -> Batch | None:
        """Return the next whole records and advance the position, or return None if there is none yet."""
        size = BATCH_BYTES
        while True:
            data = os.pread(self._fd, size, self.offset)
            events, used = split_records(data)
            if events and events[0]["seq"] == self.last_seq + 1:
                break
            if events or b"\n" in data or len(data) < size or size > _LINE_BYTES_MAX:
                return None
            size *= 4  # one record may be longer than a batch
        if self.log_id is None:
            self.log_id = events[0].get("log_id")
        self.offset += used
        self.last_event = events[-1]
        self.last_seq = events[-1]["seq"]
        return Batch(events, data[:used].splitlines(keepends=True))

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield every event from the position to the end of the whole records."""
        while True:
            batch = self.read_batch()
            if batch is None:
                return
            yield from batch.events

    def has_records_beyond(self) -> bool:
        """Return True if a valid record follows the bad line. Then the log is damaged, not just cut off by a crash."""
        end = os.fstat(self._fd).st_size
        tail = os.pread(self._fd, min(end - self.offset, 2 * _LINE_BYTES_MAX), self.offset)
        for line in tail.split(b"\n")[1:]:
            try:
                decode_record(line)
            except CorruptRecord:
                continue
            return True
        return False
