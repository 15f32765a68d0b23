"""Judge a trial by a share of the processors' time."""

from __future__ import annotations

from abc import abstractmethod

from device_worker.sensing.conditions.base import ConditionDuringTrial
from device_worker.sensing.processor_time import MISSING, ProcessorTime, read_processor_time


class ProcessorShare(ConditionDuringTrial):
    """A share of the processors' time since the reading before, in per cent.

    The first reading of a runner covers the time since boot.
    """

    def __init__(self) -> None:
        self._last: ProcessorTime | None = None

    @abstractmethod
    def share_of(self, time: ProcessorTime) -> float:
        """Return the share in a span of time."""

    def read(self) -> float | None:
        """Return the share since the last reading."""
        now, last = read_processor_time(), self._last
        if now is None:  # the next reading then covers this span too
            return None
        self._last = now
        return self.share_of(now.since(last)) if now.is_counted else None

    def explain_unknown(self) -> str:
        """Return the problem with the kernel's file."""
        return MISSING
