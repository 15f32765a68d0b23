"""Bound the reported bytes of a device that are not stored yet: a device sends no faster than the database takes."""

from __future__ import annotations

import threading

from orchestrator.domain.conversation import STORED_BYTES_MIN
from orchestrator.domain.errors import LinkLost

BYTES_MAX = 4 << 20
"""The most bytes of records between a session and the database, beside one longer message."""


class Allowance:
    """Count the bytes on their way. `leave` and `close` may be called from any thread."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._under_way = 0
        self._closed = False
        self._changed = threading.Condition()

    def enter(self, size: int) -> None:
        """Wait for room for so many bytes, and take the room. Raise LinkLost once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._has_room(size))
            if self._closed:
                raise LinkLost("closed while its records waited to be stored")
            self._under_way += size

    def leave(self, size: int) -> None:
        """Give back the room of so many bytes."""
        with self._changed:
            self._under_way = max(0, self._under_way - size)  # the session before may have reported some of them
            self._changed.notify_all()

    def close(self) -> None:
        """End every wait, for good."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _has_room(self, size: int) -> bool:
        # Fewer bytes than STORED_BYTES_MIN may be stored already: nobody tells of so few.
        return self._under_way < STORED_BYTES_MIN or self._under_way + size <= self._bytes_max
