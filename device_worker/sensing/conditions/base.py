"""Define the interface of a condition for the runner."""

from __future__ import annotations

from abc import ABC, abstractmethod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Sequence, Union

    Reading = Union[bool, float, str, None]


class TrialSeen:
    """What a runner has seen of a trial, for conditions of the trial. `clock_reason` says why there is no clock."""

    __slots__ = ("clock_percent", "clock_reason", "steady_ratio", "temperature_peak_c")

    def __init__(
        self, steady_ratio: float | None = None, clock_percent: float | None = None, clock_reason: str = ""
    ) -> None:
        self.steady_ratio = steady_ratio
        self.clock_percent = clock_percent
        self.temperature_peak_c: float | None = None
        self.clock_reason = clock_reason or "clocks are read where a plan has a limit for them"


class Condition(ABC):
    """A condition that must hold while a trial is measured. Otherwise the trial is invalid.

    A runner has an object of each condition, and reads the object before and after every attempt.
    """

    reading: str
    """The key of the reading in the log's conditions, unit last: `temperature_c`."""

    limit: str | None
    """The key of the limit in the plan, `temperature_c_max`; None for a condition that every plan asks for."""

    invalid: str
    """The word for a breach in the log's `invalid`."""

    unanswered: str
    """The word in the log's `invalid` for a trial whose limit could not be judged, since the sensor did not answer.

    A condition without a limit needs none."""

    is_waited_for = False
    """Whether the runner waits before a trial, up to `cooldown_s_max`, for a reading within the limit."""

    discarded: Sequence[str] = ()
    """The reasons for sensors that the last reading left out as implausible."""

    is_of_trial = False
    """Whether the reading is of a trial, and taken after one alone."""

    is_of_samples = False
    """Whether the reading comes out of timed samples, which a profile has none of."""

    @abstractmethod
    def read(self) -> Reading:
        """Return the present reading, or None if the device gives no reading."""

    @abstractmethod
    def explain_unknown(self) -> str:
        """Return the reason for the last reading of None."""

    def further(self) -> dict[str, Callable[[], object]]:
        """Return further readings of the same sensors by key, to be read after this one. They have no limit."""
        return {}

    def note(self, seen: TrialSeen) -> None:  # noqa: B027 most conditions are of the device, and note nothing
        """Take what was seen of the last trial into account."""

    def cannot_tell(self) -> str | None:
        """Return why the device can never give the reading, or None if it can."""
        return None if self.read() is not None else self.explain_unknown()

    def is_judged(self, before: Reading, after: Reading) -> bool:
        """Return True if two readings are enough to tell whether a trial between kept to a limit."""
        return before is not None and after is not None

    def is_breached(self, before: Reading, after: Reading, limit: float | str | None) -> bool:
        """Return True if a trial between two readings is invalid. A reading of None is no breach."""
        return _exceeds(before, limit) or _exceeds(after, limit)


class ConditionDuringTrial(Condition):
    """A condition with readings that cover the time since the reading before: after a trial, just the trial."""

    def is_judged(self, before: Reading, after: Reading) -> bool:
        """Return True if the reading after the trial is known."""
        return after is not None

    def is_breached(self, before: Reading, after: Reading, limit: float | str | None) -> bool:
        """Return True if the trial itself is invalid, whatever the reading before."""
        # The time before a trial may be busy with the end of the last trial.
        return super().is_breached(None, after, limit)


class ConditionOfTrial(ConditionDuringTrial):
    """A condition with readings out of what the runner has seen of a trial."""

    is_of_trial = True

    def __init__(self) -> None:
        self._seen: tuple[Reading, str] = (None, "no trial has run yet")

    @abstractmethod
    def take(self, seen: TrialSeen) -> tuple[Reading, str]:
        """Return the reading, and the reason for a reading of None."""

    def note(self, seen: TrialSeen) -> None:
        """Keep the reading of the last trial."""
        self._seen = self.take(seen)

    def read(self) -> Reading:
        """Return the reading of the last trial."""
        return self._seen[0]

    def explain_unknown(self) -> str:
        """Return the reason for no reading."""
        return self._seen[1]


def _exceeds(reading: Reading, limit: float | str | None) -> bool:
    return isinstance(limit, (int, float)) and isinstance(reading, (int, float)) and reading > limit
