"""Define the interface of a power source for the runner."""

from __future__ import annotations

from abc import ABC, abstractmethod

from device_worker.protocol.energy import Traits
from device_worker.system import system_files

RATE_HZ = 25.0
"""Readings per second of a source that does not set a rate of its own."""


class Unreadable(Exception):
    """The hardware is present, but cannot be read or used. The message says why."""


class Implausible(Exception):
    """The reading is nonsense, and the next one may be fine. The message says why, in the same words each time."""


class Lost(Exception):
    """The source cannot be used any more. The message says why."""


class PowerSource(ABC):
    """An opened source, to be read by a single thread at a time.

    `name` says what is measured, such as the rail. `kind` is a value of `SourceKind`, and decides the unit of `read`.
    """

    name: str
    kind: str
    period_s: float = 1.0 / RATE_HZ
    """Seconds between two readings. A source with slower hardware sets a longer period."""

    is_mean: bool = False
    """Whether a reading is the mean over the period before the reading, with the time of the period's end."""

    resolution: float = 1.0
    """The smallest step of a reading, in the unit of `read`."""

    accuracy_ratio: float | None = None
    """The largest error as a share of the reading, as whoever made the sensor states it; None where nobody does."""

    update_s: float = 0.0
    """Seconds between two updates of the hardware: a reading is older than its time by up to that."""

    is_estimate: bool = False
    """Whether power is derived from something else, or is that of a part of the device."""

    @property
    def traits(self) -> Traits:
        """What the uncertainty of a figure needs to know of the source."""
        return Traits(self.resolution, self.accuracy_ratio, self.update_s, is_estimate=self.is_estimate)

    @abstractmethod
    def read(self) -> int | None:
        """Return microjoules of an energy counter, or microwatts of a power gauge, or None for a failed reading.

        Raise Implausible for a reading to be discarded, and Lost for the end of all readings. Microjoules of an opened
        source never fall.
        """


def explain_unreadable(path: str) -> str:
    """Return the reason for a missing number in a file of the hardware."""
    try:
        with open(system_files.resolve(path), "rb") as file:
            file.read(1)
    except PermissionError:
        return f"this user may not read {path}"
    except OSError as error:
        return f"{path}: {error.strerror}"
    return f"{path} holds no number"
