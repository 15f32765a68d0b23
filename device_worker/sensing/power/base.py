"""Define the interface of a power source for the runner."""

from __future__ import annotations

from abc import ABC, abstractmethod

from device_worker.system import system_files

RATE_HZ = 25.0
"""Readings per second. The shortest usual window of 1 s then holds 20 readings, even if a few readings come late."""


class Unreadable(Exception):
    """The hardware is present, but cannot be read or used. The message says why."""


class Implausible(Exception):
    """The reading is nonsense, and the next one may be fine. The message says why, in the same words each time."""


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

    @abstractmethod
    def read(self) -> int | None:
        """Return microjoules of an energy counter, or microwatts of a power gauge, or None for a failed reading.

        Raise Implausible for a reading to be discarded. Microjoules of an opened source never fall.
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
