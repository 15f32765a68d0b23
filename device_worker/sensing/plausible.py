"""Tell plausible readings of sensors from nonsense, and say what was discarded.

Drivers of vendors give other units, constants in the place of a sensor that is off, and offsets below zero. A reading
outside of what its kind can be is left out, with its reason on record: no figure is better than a wrong one.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable

_SHOWN_MAX = 4


class Band:
    """What readings of a kind can be, borders included."""

    __slots__ = ("high", "low", "unit")

    def __init__(self, low: float, high: float, unit: str) -> None:
        self.low = low
        self.high = high
        self.unit = unit

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def objection(self, source: str, value: float) -> str:
        """Return the words for a discarded reading."""
        return f"{source} says {value:g} {self.unit}, outside of {self.low:g} to {self.high:g} {self.unit}"


TEMPERATURE_C = Band(-40.0, 150.0, "°C")
"""Chips for industry are sold for -40 to 125 °C, and shut themselves off below 150."""

FREQUENCY_MHZ = Band(1.0, 10000.0, "MHz")
"""From a microcontroller's idle clock to beyond the record of any processor."""

POWER_W = Band(0.0, 20000.0, "W")
"""A device takes no power back, and none of a lab takes more than a rack."""


def sift(readings: Iterable[tuple[str, float | None]], band: Band, discarded: list[str] | None = None) -> list[float]:
    """Return the plausible values of (source, value) pairs, and append the reasons for all others to `discarded`."""
    kept = []
    for source, value in readings:
        if value is None:
            continue
        if value in band:
            kept.append(value)
        elif discarded is not None and len(discarded) < _SHOWN_MAX:
            discarded.append(band.objection(source, value))
    return kept
