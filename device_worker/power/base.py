"""What a power source has to be, for the runner to measure energy with it."""

from __future__ import annotations

from abc import ABC, abstractmethod

from device_worker import system_files

RATE_HZ = 25.0
"""Readings a second: 20 of them fit into the shortest usual window, 1 s, though a few come late."""


class SourceKind:
    """What a source counts: energy since some beginning (microjoules), or power at this moment (microwatts)."""

    ENERGY_COUNTER = "energy-counter"
    POWER_GAUGE = "power-gauge"


class Unreadable(Exception):
    """The hardware is there, but what it says cannot be used; the message says why."""


class PowerSource(ABC):
    """One opened source, read by one thread at a time; its name says what it measures, such as the rail."""

    name: str
    kind: str
    period_s: float = 1.0 / RATE_HZ
    """The time between two readings: a source that has nothing new so often asks for more."""

    @abstractmethod
    def read(self) -> int | None:
        """Return microjoules (never falling while they are read again and again) or microwatts; None when it fails."""


def explain_unreadable(path: str) -> str:
    """Return why a file that should hold a number does not give one."""
    try:
        with open(system_files.resolve(path), "rb") as file:
            file.read(1)
    except PermissionError:
        return f"this user may not read {path}"
    except OSError as error:
        return f"{path}: {error.strerror}"
    return f"{path} holds no number"
