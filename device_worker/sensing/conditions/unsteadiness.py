"""Watch for trials that had not settled: still warming up, or slowed down in the middle."""

from __future__ import annotations

from device_worker.sensing.conditions.base import ConditionOfTrial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from device_worker.sensing.conditions.base import Reading, TrialSeen


class Unsteadiness(ConditionOfTrial):
    """How far the last third of a trial's samples lies from the first, by the medians, in per cent."""

    reading = "unsteady_percent"
    limit = "unsteady_max_percent"
    invalid = "unsteady"
    unanswered = "steadiness-unknown"
    is_of_samples = True

    def take(self, seen: TrialSeen) -> tuple[Reading, str]:
        """Return the distance, and the reason for none."""
        ratio = seen.steady_ratio
        return None if ratio is None else 100.0 * abs(ratio - 1), "the trial reported no steady_ratio"

    def cannot_tell(self) -> str | None:
        """Return None: every device can, since the trial itself tells."""
        return None
