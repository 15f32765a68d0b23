"""What a power source said over time, and the energy of any window within it."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right

from device_worker.power.base import SourceKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

READINGS_MIN = 20
_UWNS_PER_UJ = 1e9


class NoFigure(ValueError):
    """The trace does not support a figure for this window; the message says why."""


class Trace:
    """Readings and when they were taken (CLOCK_MONOTONIC); `lost` is why the source was given up, or None."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.stamps_ns = array("q")
        self.values = array("q")
        self.lost: str | None = None

    def __len__(self) -> int:
        return len(self.stamps_ns)

    @property
    def rate_hz(self) -> float | None:
        """How often a reading was taken, really."""
        duration_ns = self.stamps_ns[-1] - self.stamps_ns[0] if self.stamps_ns else 0
        return (len(self.stamps_ns) - 1) * 1e9 / duration_ns if duration_ns else None

    def add(self, stamp_ns: int, value: int) -> None:
        """Append a reading; stamps rise."""
        self.values.append(value)
        self.stamps_ns.append(stamp_ns)

    def energy_uj(self, begin_ns: int, end_ns: int) -> float:
        """Return the energy of a window, or raise NoFigure: a wrong figure would be worse than none."""
        if self.lost is not None:
            raise NoFigure(self.lost)
        if not self.stamps_ns or begin_ns < self.stamps_ns[0] or end_ns > self.stamps_ns[-1]:
            raise NoFigure("the window is not within the time that was watched")
        if end_ns <= begin_ns:
            raise NoFigure("the window ends before it begins")
        if self.kind == SourceKind.ENERGY_COUNTER:
            return self._counted(begin_ns, end_ns)
        return self._integrated(begin_ns, end_ns)

    def _counted(self, begin_ns: int, end_ns: int) -> float:
        """Return what a counter rose by; between two ticks it is taken to rise evenly, not to stand still."""
        stamps_ns, values = _keep_ticks(self.stamps_ns, self.values)
        inside = bisect_right(stamps_ns, end_ns) - bisect_left(stamps_ns, begin_ns)
        if inside < READINGS_MIN:
            raise NoFigure(f"the counter ticked {inside} times within the window, fewer than {READINGS_MIN}")
        return _interpolated(stamps_ns, values, end_ns) - _interpolated(stamps_ns, values, begin_ns)

    def _integrated(self, begin_ns: int, end_ns: int) -> float:
        first, last = bisect_left(self.stamps_ns, begin_ns), bisect_right(self.stamps_ns, end_ns)
        if last - first < READINGS_MIN:
            raise NoFigure(f"the window holds {last - first} readings, fewer than {READINGS_MIN}")
        stamps_ns = [begin_ns, *self.stamps_ns[first:last], end_ns]
        begin_uw = _interpolated(self.stamps_ns, self.values, begin_ns)
        end_uw = _interpolated(self.stamps_ns, self.values, end_ns)
        powers_uw = [begin_uw, *self.values[first:last], end_uw]
        areas = (
            (stamps_ns[index + 1] - stamps_ns[index]) * (powers_uw[index + 1] + powers_uw[index]) / 2
            for index in range(len(stamps_ns) - 1)
        )
        return sum(areas) / _UWNS_PER_UJ


def _keep_ticks(stamps_ns: Sequence[int], values: Sequence[int]) -> tuple[list[int], list[int]]:
    """Leave out readings that repeat the one before them, but for the first and the last."""
    last = len(values) - 1
    kept = [index for index in range(last + 1) if index in (0, last) or values[index] != values[index - 1]]
    return [stamps_ns[index] for index in kept], [values[index] for index in kept]


def _interpolated(stamps_ns: Sequence[int], values: Sequence[int], at_ns: int) -> float:
    """Return the value at a time within the trace, on the straight line between the readings around it."""
    after = bisect_left(stamps_ns, at_ns)
    if stamps_ns[after] == at_ns:
        return float(values[after])
    before = after - 1
    share = (at_ns - stamps_ns[before]) / (stamps_ns[after] - stamps_ns[before])
    return values[before] + share * (values[after] - values[before])
