"""Bound the time of a device: for each answer, and for each next record of a followed log.

Only the time of waiting for the device's bytes counts, and a wait never counts for more than its own limit. A
controller that slept, was busy or waited for a turn of its own has not waited for the device.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from orchestrator.domain.errors import LinkLost, NoProgress
from orchestrator.transport.base import BYTES_PER_S_MIN

SIGNS_MAX = 10_000
"""How many signs of life may come at once, beyond the due ones. A controller that was frozen finds many."""


class AnswerTime:
    """The time of one answer: at most `timeout_s`, and more for many bytes. `waited_s` is the time used up."""

    def __init__(self, timeout_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._timeout_s = self._left_s = timeout_s
        self._clock = clock
        self._bytes = 0
        self.waited_s = 0.0

    def read(self, read: Callable[[int, float], bytes], size: int) -> bytes:
        """Return the next bytes by `read(size, timeout_s)`. Raise LinkLost once the time is over."""
        if self._left_s <= 0:
            raise self._late()
        limit_s, began = self._left_s, self._clock()
        try:
            data = read(size, limit_s)
        except LinkLost as lost:
            if self._bytes and self._clock() - began >= limit_s:
                raise self._late() from lost
            raise
        finally:
            waited_s = min(self._clock() - began, limit_s)
            self.waited_s += waited_s
            self._left_s -= waited_s
        self._left_s += len(data) / BYTES_PER_S_MIN
        self._bytes += len(data)
        return data

    def _late(self) -> LinkLost:
        return LinkLost(f"no whole answer came within {self._timeout_s:g} s, but {self._bytes} bytes of one")


class RecordTime:
    """The waiting for the next record of a log, over as many connections as needed."""

    def __init__(self, silence_s_max: float, heartbeat_s: float) -> None:
        self._silence_s_max = silence_s_max
        self._signs_max = SIGNS_MAX + silence_s_max / heartbeat_s
        self._waited_s = 0.0
        self._signs = 0

    def note_wait(self, seconds: float) -> None:
        """Add seconds of waiting without a new record."""
        self._waited_s += seconds

    def note_sign(self) -> None:
        """Add a sign of life without a record. Raise NoProgress if too many have come, or for too long."""
        self._signs += 1
        if self._signs > self._signs_max:
            raise NoProgress(f"the device sent {self._signs} signs of life without a record between", _HINT)
        self.check()

    def note_record(self) -> None:
        """Begin anew: the log has grown."""
        self._waited_s, self._signs = 0.0, 0

    def check(self) -> None:
        """Raise NoProgress if the device has been without a new record for longer than any trial may take."""
        if self._waited_s >= self._silence_s_max:
            told = f"no record for {self._waited_s:.0f} s, though no step of the plan may take longer than"
            raise NoProgress(f"{told} {self._silence_s_max:.0f} s", _HINT)


_HINT = "does its runner hang? look at the device: its disk, its sensors, runner.log in its state folder"
