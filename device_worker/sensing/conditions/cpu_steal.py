"""Watch for a host that takes processors from its virtual machine."""

from __future__ import annotations

from device_worker.sensing.conditions.processor_share import ProcessorShare
from device_worker.sensing.processor_time import ProcessorTime


class CpuSteal(ProcessorShare):
    """The share of the wanted processor time that the host took. A real machine has none."""

    reading = "cpu_steal_percent"
    limit = "cpu_steal_max_percent"
    invalid = "cpu-steal"
    unanswered = "cpu-steal-unknown"

    def share_of(self, time: ProcessorTime) -> float:
        """Return the steal in a span of time."""
        return time.stolen_percent
