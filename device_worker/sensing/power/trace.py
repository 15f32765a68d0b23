"""Keep the readings of a power source, and compute the energy of a window."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right

from device_worker.protocol.vocabulary import SourceKind
from device_worker.sensing.power.window import READINGS_MIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

DISCARDED_RATIO_MAX = 0.1
"""The share of readings that may be nonsense. Energy is interpolated over each, and the rest would be guesswork."""

_UWNS_PER_UJ = 1e9
_REASONS_MAX = 3
_OTHER_REASONS = "other reasons"


class NoFigure(ValueError):
    """The trace supports no figure for the window. The message says why."""


class TooFewReadings(NoFigure):
    """The window is too short for the source."""


class Trace:
    """Readings with times of CLOCK_MONOTONIC in ns. `lost` is the reason for giving up the source, or None.

    `discarded` counts the readings that were nonsense, by reason. Values are microjoules of an energy counter, or
    microwatts of a power gauge.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.stamps_ns = array("q")
        self.values = array("q")
        self.lost: str | None = None
        self.discarded: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.stamps_ns)

    @property
    def rate_hz(self) -> float | None:
        """The actual readings per second, or None for fewer than two readings."""
        duration_ns = self.stamps_ns[-1] - self.stamps_ns[0] if self.stamps_ns else 0
        return (len(self.stamps_ns) - 1) * 1e9 / duration_ns if duration_ns else None

    def count_within(self, begin_ns: int, end_ns: int) -> int:
        """Return the number of readings in a window."""
        return bisect_right(self.stamps_ns, end_ns) - bisect_left(self.stamps_ns, begin_ns)

    def add(self, stamp_ns: int, value: int) -> None:
        """Append a reading. Times must rise."""
        self.values.append(value)
        self.stamps_ns.append(stamp_ns)

    def discard(self, reason: str) -> None:
        """Count a reading that was nonsense."""
        # A reason with a number in it could be a new one each time.
        known = reason if reason in self.discarded or len(self.discarded) < _REASONS_MAX else _OTHER_REASONS
        self.discarded[known] = self.discarded.get(known, 0) + 1

    @property
    def discarded_ratio(self) -> float:
        """The share of the readings that were discarded."""
        count = sum(self.discarded.values())
        return count / (count + len(self)) if count else 0.0

    @property
    def is_stuck(self) -> bool:
        """Whether all readings of a gauge are one and the same, and enough for a figure."""
        is_gauge = self.kind == SourceKind.POWER_GAUGE
        return is_gauge and len(self) >= READINGS_MIN and min(self.values) == max(self.values)

    def energy_uj(self, begin_ns: int, end_ns: int) -> float:
        """Return the energy of a window in microjoules.

        Raise NoFigure if the trace does not cover the window, or has too few readings within.
        """
        # A wrong figure would be worse than none.
        if self.lost is not None:
            raise NoFigure(self.lost)
        if self.discarded_ratio > DISCARDED_RATIO_MAX:
            raise NoFigure(
                f"{describe_share(self.discarded_ratio)} of the readings are nonsense: {self.why_discarded()}"
            )
        if not self.stamps_ns or begin_ns < self.stamps_ns[0] or end_ns > self.stamps_ns[-1]:
            raise NoFigure("the window is not within the time that was watched")
        if end_ns <= begin_ns:
            raise NoFigure("the window ends before it begins")
        if self.kind == SourceKind.ENERGY_COUNTER:
            return self._counted(begin_ns, end_ns)
        return self._integrated(begin_ns, end_ns)

    def why_discarded(self) -> str:
        """Return the reasons for discarded readings."""
        return "; ".join(self.discarded)

    def _counted(self, begin_ns: int, end_ns: int) -> float:
        """Return the rise of a counter within a window, in microjoules."""
        # Readings repeat a value until a slow counter ticks again. Energy is taken to rise evenly in between.
        stamps_ns, values = _keep_ticks(self.stamps_ns, self.values)
        inside = bisect_right(stamps_ns, end_ns) - bisect_left(stamps_ns, begin_ns)
        if inside < READINGS_MIN:
            raise TooFewReadings(f"the counter ticked {inside} times within the window, fewer than {READINGS_MIN}")
        return _interpolated(stamps_ns, values, end_ns) - _interpolated(stamps_ns, values, begin_ns)

    def _integrated(self, begin_ns: int, end_ns: int) -> float:
        first, last = bisect_left(self.stamps_ns, begin_ns), bisect_right(self.stamps_ns, end_ns)
        if last - first < READINGS_MIN:
            raise TooFewReadings(f"the window holds {last - first} readings, fewer than {READINGS_MIN}")
        stamps_ns = [begin_ns, *self.stamps_ns[first:last], end_ns]
        begin_uw = _interpolated(self.stamps_ns, self.values, begin_ns)
        end_uw = _interpolated(self.stamps_ns, self.values, end_ns)
        powers_uw = [begin_uw, *self.values[first:last], end_uw]
        areas = (
            (stamps_ns[index + 1] - stamps_ns[index]) * (powers_uw[index + 1] + powers_uw[index]) / 2
            for index in range(len(stamps_ns) - 1)
        )
        return sum(areas) / _UWNS_PER_UJ


def describe_share(ratio: float) -> str:
    """Return a share in words of a few classes, so that equal trouble has equal words."""
    if ratio > DISCARDED_RATIO_MAX:
        return f"more than {DISCARDED_RATIO_MAX:.0%}"
    return "fewer than 1%" if ratio < 0.01 else f"1 to {DISCARDED_RATIO_MAX:.0%}"


def _keep_ticks(stamps_ns: Sequence[int], values: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the readings without repetitions of the reading before, but with the first and the last reading."""
    last = len(values) - 1
    kept = [index for index in range(last + 1) if index in (0, last) or values[index] != values[index - 1]]
    return [stamps_ns[index] for index in kept], [values[index] for index in kept]


def _interpolated(stamps_ns: Sequence[int], values: Sequence[int], at_ns: int) -> float:
    """Return the value at a time within the trace, by linear interpolation between two readings."""
    after = bisect_left(stamps_ns, at_ns)
    if stamps_ns[after] == at_ns:
        return float(values[after])
    before = after - 1
    share = (at_ns - stamps_ns[before]) / (stamps_ns[after] - stamps_ns[before])
    return values[before] + share * (values[after] - values[before])
