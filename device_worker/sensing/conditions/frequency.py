"""Watch for processors that run a trial more slowly than they could."""

from __future__ import annotations

from device_worker.sensing.clocks import explain_no_clock
from device_worker.sensing.conditions.base import ConditionOfTrial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from device_worker.sensing.conditions.base import Reading, TrialSeen


class Frequency(ConditionOfTrial):
    """The mean clock of the processors under a trial's threads, in per cent of their highest clock."""

    reading = "frequency_percent"
    limit = "frequency_min_percent"
    invalid = "frequency-low"
    unanswered = "frequency-unknown"

    def take(self, seen: TrialSeen) -> tuple[Reading, str]:
        """Return the clock, and the reason for none."""
        return seen.clock_percent, seen.clock_reason

    def is_breached(self, before: Reading, after: Reading, limit: float | str | None) -> bool:
        """Return True for a clock below the limit."""
        return isinstance(limit, (int, float)) and isinstance(after, (int, float)) and after < limit

    def cannot_tell(self) -> str | None:
        """Return why the device tells no clock, or None."""
        return explain_no_clock()
