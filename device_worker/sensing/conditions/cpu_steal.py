"""Watch for a host that takes processors from its virtual machine."""

from __future__ import annotations

from device_worker.sensing.conditions.base import ConditionDuringTrial
from device_worker.sensing.processor_time import MISSING, ProcessorTime, read_processor_time


class CpuSteal(ConditionDuringTrial):
    """The share of the wanted processor time that the host took, in per cent. A real machine has none.

    A reading covers the time since the reading before. The first reading of a runner covers the time since boot.
    """

    reading = "cpu_steal_percent"
    limit = "cpu_steal_max_percent"
    invalid = "cpu-steal"
    unanswered = "cpu-steal-unknown"

    def __init__(self) -> None:
        self._last: ProcessorTime | None = None

    def read(self) -> float | None:
        """Return the steal since the last reading."""
        now, last = read_processor_time(), self._last
        if now is None:
            return None
        self._last = now
        return now.since(last).stolen_percent if now.is_counted else None

    def explain_unknown(self) -> str:
        """Return the problem with the kernel's file."""
        return MISSING
