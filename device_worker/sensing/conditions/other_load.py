"""Watch for other work on the processors, by the time that it takes."""

from __future__ import annotations

from device_worker.sensing.conditions.processor_share import ProcessorShare
from device_worker.sensing.processor_time import ProcessorTime


class OtherLoad(ProcessorShare):
    """The share of all processors' time that other work took: 50 for one busy loop on two processors.

    The threads of the trial and the runner itself are not other work.
    """

    reading = "other_load_percent"
    limit = "other_load_max_percent"
    invalid = "other-load"
    unanswered = "other-load-unknown"

    def share_of(self, time: ProcessorTime) -> float:
        """Return the load of others in a span of time."""
        return time.others_percent
