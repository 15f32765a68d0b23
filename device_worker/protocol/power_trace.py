"""Keep the readings of a power source, and compute the energy of a window with what the rate of readings leaves open.

Pure arithmetic, and part of the protocol: the device computes the figures of its own sensors, and the controller those
of meters that the controller reads, in the same way.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from math import sqrt

from device_worker.protocol.samples import encode_block
from device_worker.protocol.vocabulary import SourceKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

READINGS_MIN = 20
"""The least number of readings in a window for a figure."""

READINGS_WANTED = 60
"""The least number of readings in a window for a figure without a caution."""

DISCARDED_RATIO_MAX = 0.1
"""The share of readings that may be nonsense. Energy is interpolated over each, and the rest would be guesswork."""

_NS_PER_S = 1e9
_UWNS_PER_UJ = 1e9
_LEVELS_MIN = 8
_REASONS_MAX = 3
_OTHER_REASONS = "other reasons"
_UNIFORM = 1 / sqrt(3)  # from the half-width of a uniform distribution to the standard deviation
_WHOLE_UNIFORM = 1 / sqrt(12)  # the same from the whole width


class NoFigure(ValueError):
    """The trace supports no figure for the window. The message says why."""


class TooFewReadings(NoFigure):
    """The window is too short for the source."""


class Trace:
    """Readings with times of a monotonic clock in ns. `lost` is the reason for giving up the source, or None.

    `discarded` counts the readings that were nonsense, by reason. Values are microjoules of an energy counter, or
    microwatts of a power gauge. `is_mean`: a reading is the mean of the time since the reading before.
    """

    def __init__(self, kind: str, *, is_mean: bool = False) -> None:
        self.kind = kind
        self.is_mean = is_mean
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
        return (len(self.stamps_ns) - 1) * _NS_PER_S / duration_ns if duration_ns else None

    def count_within(self, begin_ns: int, end_ns: int) -> int:
        """Return the number of readings in a window. Of a counter, those count that differ from the one before."""
        stamps_ns = self.stamps_ns if self.is_gauge else _keep_ticks(self.stamps_ns, self.values)[0]
        return bisect_right(stamps_ns, end_ns) - bisect_left(stamps_ns, begin_ns)

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
    def is_gauge(self) -> bool:
        """Whether values are power, and not energy."""
        return self.kind == SourceKind.POWER_GAUGE

    @property
    def is_stuck(self) -> bool:
        """Whether all readings of a gauge are one and the same, and enough for a figure."""
        return self.is_gauge and len(self) >= READINGS_MIN and min(self.values) == max(self.values)

    def energy_uj(self, begin_ns: int, end_ns: int) -> float:
        """Return the energy of a window in microjoules.

        Raise NoFigure if the trace does not cover the window, or has too few readings within.
        """
        # A wrong figure would be worse than none.
        self._refuse_unfit(begin_ns, end_ns)
        count = self.count_within(begin_ns, end_ns)
        if count < READINGS_MIN and self.is_gauge:
            raise TooFewReadings(f"the window holds {count} readings, fewer than {READINGS_MIN}")
        if count < READINGS_MIN:
            raise TooFewReadings(f"the counter ticked {count} times within the window, fewer than {READINGS_MIN}")
        return self.part_uj(begin_ns, end_ns)

    def part_uj(self, begin_ns: int, end_ns: int) -> float:
        """Return the energy of a part of the watched time in microjoules, however few readings the part has."""
        stamps_ns, energies_uj = self._energies()
        return _interpolated(stamps_ns, energies_uj, end_ns) - _interpolated(stamps_ns, energies_uj, begin_ns)

    def peak_uw(self, begin_ns: int, end_ns: int) -> float:
        """Return the highest power of a window in microwatts: of a reading, or between two ticks of a counter."""
        if self.is_gauge:
            first, last = bisect_left(self.stamps_ns, begin_ns), bisect_right(self.stamps_ns, end_ns)
            return float(max(self.values[first:last]))
        stamps_ns, energies_uj = self._energies()
        first, last = bisect_left(stamps_ns, begin_ns), bisect_right(stamps_ns, end_ns)
        return max(_powers_uw(stamps_ns[first:last], energies_uj[first:last]))

    def rate_uj(self, begin_ns: int, end_ns: int, update_s: float) -> float:
        """Return the standard uncertainty of a window's energy in microjoules that the rate of readings leaves.

        `update_s` is the time between two updates of the hardware: a reading is older than its time by up to that.
        """
        stamps_ns, energies_uj = self._energies()
        powers_uw = _powers_uw(stamps_ns, energies_uj)
        variance = sum(
            _border_variance(stamps_ns, powers_uw, at_ns, update_s * _NS_PER_S, is_shared_lag=self.is_gauge)
            for at_ns in (begin_ns, end_ns)
        )
        if self.is_gauge:
            first, last = bisect_left(self.stamps_ns, begin_ns), bisect_right(self.stamps_ns, end_ns)
            variance += _reading_variance(self.stamps_ns[first:last], self.values[first:last], is_mean=self.is_mean)
        return sqrt(variance) / _UWNS_PER_UJ

    def step(self, declared: float) -> float:
        """Return the smallest step of the values: as seen where readings tell, but at least as declared."""
        seen = sorted(set(self.values)) if self.is_gauge else []
        if len(seen) < _LEVELS_MIN:  # two levels of a load are no steps of a sensor
            return declared
        return max(declared, min(seen[index + 1] - seen[index] for index in range(len(seen) - 1)))

    def why_discarded(self) -> str:
        """Return the reasons for discarded readings."""
        return "; ".join(self.discarded)

    def to_json(self) -> dict[str, Any]:
        """Return the readings, packed.

        `intervals_ns` is the time since the reading before, and `values` holds microwatts of a gauge, or microjoules
        since the reading before. The first of both is 0, but for the first value of a gauge.
        """
        values: Sequence[int] = self.values if self.is_gauge else _steps(self.values)
        return {
            "begin_mono_ns": self.stamps_ns[0],
            "intervals_ns": encode_block(_steps(self.stamps_ns)),
            "values": encode_block(values),
        }

    def _refuse_unfit(self, begin_ns: int, end_ns: int) -> None:
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

    def _energies(self) -> tuple[Sequence[int], Sequence[float]]:
        """Return times, and the energy in microjoules until then, which is taken to be known there."""
        if not self.is_gauge:
            # Readings repeat a value until a slow counter ticks again. Energy is taken to rise evenly in between.
            return _keep_ticks(self.stamps_ns, self.values)
        total, energies_uj = 0.0, [0.0]
        for index in range(1, len(self.values)):
            power_uw: float = self.values[index]
            if not self.is_mean:
                power_uw = (power_uw + self.values[index - 1]) / 2
            total += power_uw * (self.stamps_ns[index] - self.stamps_ns[index - 1]) / _UWNS_PER_UJ
            energies_uj.append(total)
        return self.stamps_ns, energies_uj


def describe_share(ratio: float) -> str:
    """Return a share in words of a few classes, so that equal trouble has equal words."""
    if ratio > DISCARDED_RATIO_MAX:
        return f"more than {DISCARDED_RATIO_MAX:.0%}"
    return "fewer than 1%" if ratio < 0.01 else f"1 to {DISCARDED_RATIO_MAX:.0%}"


def _border_variance(
    stamps_ns: Sequence[int], powers_uw: Sequence[float], at_ns: int, update_ns: float, *, is_shared_lag: bool
) -> float:
    """Return the variance, in (uW ns)², of the energy until a border between two readings.

    Within an interval, power may have changed at any moment: by interpolation, energy is then off by up to a quarter of
    the change times the interval. A reading is late by up to `update_ns`. The lag of a counter differs from reading to
    reading. A gauge's lag is the same at both borders (`is_shared_lag`), and costs only where power has changed.
    """
    after = min(max(bisect_left(stamps_ns, at_ns), 1), len(powers_uw))
    width_ns = stamps_ns[after] - stamps_ns[after - 1]
    near_uw = powers_uw[max(0, after - 2) : after + 1]
    change_uw = max(near_uw) - min(near_uw)
    lag_ns = min(update_ns, width_ns)
    late = change_uw * _UNIFORM if is_shared_lag else powers_uw[after - 1] * _WHOLE_UNIFORM
    return float((change_uw * width_ns / 4 * _UNIFORM) ** 2 + (late * lag_ns) ** 2)


def _reading_variance(stamps_ns: Sequence[int], values_uw: Sequence[int], *, is_mean: bool) -> float:
    """Return the variance, in (uW ns)², of the sum of a gauge's readings.

    Two kinds of change are told apart. What one reading has alone (noise, or load that changes faster than readings)
    adds its variance with each reading. A step that lasts happened at any moment between two readings.
    """
    count = len(values_uw)
    if count < 3:
        return 0.0
    mean_ns = (stamps_ns[-1] - stamps_ns[0]) / (count - 1)
    steps_uw = [values_uw[index + 1] - values_uw[index] for index in range(count - 1)]
    squares = float(sum(step * step for step in steps_uw))
    # A reading that is alone makes two steps of opposite sign, and lasting steps make none.
    opposite = -sum(steps_uw[index] * steps_uw[index + 1] for index in range(count - 2)) / (count - 2)
    noise = min(max(0.0, opposite), squares / (count - 1) / 2)
    lasting = 0.0 if is_mean else max(0.0, squares - 2 * (count - 1) * noise) / 12  # means have the moment within
    return (count * noise + lasting) * mean_ns * mean_ns


def _powers_uw(stamps_ns: Sequence[int], energies_uj: Sequence[float]) -> list[float]:
    """Return the mean power between each two neighbours in microwatts."""
    return [
        (energies_uj[index + 1] - energies_uj[index]) * _UWNS_PER_UJ / (stamps_ns[index + 1] - stamps_ns[index])
        for index in range(len(stamps_ns) - 1)
    ]


def _steps(values: Sequence[int]) -> list[int]:
    """Return what each value has more than the value before, with 0 at first."""
    return [0, *(values[index] - values[index - 1] for index in range(1, len(values)))]


def _keep_ticks(stamps_ns: Sequence[int], values: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the readings without repetitions of the reading before, but with the first and the last reading."""
    last = len(values) - 1
    kept = [index for index in range(last + 1) if index in (0, last) or values[index] != values[index - 1]]
    return [stamps_ns[index] for index in kept], [values[index] for index in kept]


def _interpolated(stamps_ns: Sequence[int], values: Sequence[float], at_ns: int) -> float:
    """Return the value at a time within the trace, by linear interpolation between two readings."""
    after = bisect_left(stamps_ns, at_ns)
    if stamps_ns[after] == at_ns:
        return float(values[after])
    before = after - 1
    share = (at_ns - stamps_ns[before]) / (stamps_ns[after] - stamps_ns[before])
    return values[before] + share * (values[after] - values[before])
