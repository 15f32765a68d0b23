"""Describe power meters that the controller reads: smart plugs, PDUs, commands, recordings of other tools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

DEVICE_SOURCES = ("rapl", "hwmon", "ina3221x", "pmic", "nvml", "battery")
"""The kinds of power sources on devices, by the names of `device_worker.sensing.power`. A test compares."""


class MeterKind(StrEnum):
    """Name the kinds of meters. `csv` is a file of another tool, joined by `benchfleet power import`."""

    SHELLY = "shelly"
    TASMOTA = "tasmota"
    SNMP = "snmp"
    COMMAND = "command"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Meter:
    """Describe a meter of a device's supply.

    `place` is the URL of a plug, the host of a PDU, or the program of a command. `channel` counts a plug's outlets from
    0. `period_s` is the time between two readings. `update_s` is how late a reading may be. `resolution_w` is the
    smallest step, and `accuracy_ratio` the largest error as a share of the reading, None if nobody states one.
    `watts_per_unit` scales what an SNMP agent says. `community_variable` names the environment variable with the SNMP
    community, since no secret belongs into an inventory.
    """

    kind: MeterKind
    place: str
    channel: int = 0
    command: tuple[str, ...] = ()
    oid: str = ""
    watts_per_unit: float = 1.0
    community_variable: str | None = None
    period_s: float = 1.0
    update_s: float = 1.0
    resolution_w: float = 0.1
    accuracy_ratio: float | None = None

    @property
    def name(self) -> str:
        """Return the name of the source for figures. Figures of two names are not compared."""
        shown = (self.place.partition("://")[2] or self.place).rstrip("/")
        return f"{self.kind.value} {shown}" + (f" channel {self.channel}" if self.channel else "")


@dataclass(frozen=True, slots=True)
class MeterReading:
    """Hold a power in watts, with the time by the controller's clock in ns since the epoch."""

    unix_ns: int
    watts: float


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """Relate a device's CLOCK_MONOTONIC to the controller's clock, by the shortest of several round trips.

    `offset_ns` is added to the device's time. `uncertainty_ns` is half of the round trip: the device read the clock at
    some moment within. `boot_id` is the boot of the device that the clock counts from.
    """

    offset_ns: int
    uncertainty_ns: int
    asked_unix_ns: int
    boot_id: str | None = None


def best_offset(rounds: Sequence[tuple[int, int, int]], boot_id: str | None) -> ClockOffset | None:
    """Return the offset by the shortest round trip, or None without any.

    `rounds` holds the controller's time of the question, the device's time, and the controller's time of the answer.
    """
    if not rounds:
        return None
    asked, device, answered = min(rounds, key=lambda one: one[2] - one[0])
    middle = (asked + answered) // 2
    return ClockOffset(middle - device, max(1, (answered - asked) // 2), asked, boot_id)
