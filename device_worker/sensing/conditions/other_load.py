"""Watch for other work on the processors, by the time that it takes."""

from __future__ import annotations

from device_worker.sensing.conditions.base import ConditionDuringTrial
from device_worker.sensing.processor_time import MISSING, ProcessorTime, read_processor_time


class OtherLoad(ConditionDuringTrial):
    """The share of all processors' time that other work took, in per cent: 50 for one busy loop on two processors.

    The threads of the trial and the runner itself are not other work. A reading covers the time since the reading
    before. The first reading of a runner covers the time since boot.
    """

    reading = "other_load_percent"
    limit = "other_load_max_percent"
    invalid = "other-load"
    unanswered = "other-load-unknown"

    def __init__(self) -> None:
        self._last: ProcessorTime | None = None

    def read(self) -> float | None:
        """Return the load of others since the last reading."""
        now, last = read_processor_time(), self._last
        if now is None:
            return None
        self._last = now
        return now.since(last).others_percent if now.is_counted else None

    def explain_unknown(self) -> str:
        """Return the problem with the kernel's file."""
        return MISSING
