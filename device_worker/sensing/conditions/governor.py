"""Watch for another frequency governor than the one asked for."""

from __future__ import annotations

from device_worker.sensing.conditions.base import Condition
from device_worker.sensing.readings import read_governor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from device_worker.sensing.conditions.base import Reading


class Governor(Condition):
    """The frequency governor of all processors, with commas between where they differ."""

    reading = "governor"
    limit = "governor"
    invalid = "governor"
    unanswered = "governor-unknown"

    def read(self) -> str | None:
        """Return the present governor."""
        return read_governor()

    def explain_unknown(self) -> str:
        """Return the reason for an unknown governor."""
        return "the kernel lets no governor choose the clocks (no cpufreq)"

    def is_breached(self, before: Reading, after: Reading, limit: float | str | None) -> bool:
        """Return True if another governor was in charge before or after the trial."""
        return limit is not None and any(reading is not None and reading != limit for reading in (before, after))
