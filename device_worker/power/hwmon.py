"""The INA power monitors of boards (INA2xx, and the INA3221 of Jetsons), as the hwmon drivers show them.

A board has several rails, of which some feed others: their sum would count energy twice. So one channel is read, the
one that measures the board's supply: it is the only one there is, or its label says so (VDD_IN, POM_5V_IN).
"""

from __future__ import annotations

from device_worker import system_files
from device_worker.power.base import PowerSource, SourceKind, Unreadable, explain_unreadable

_CLASS = "/sys/class/hwmon"
_CHANNELS = (1, 2, 3)
_SUPPLY_LABELS = ("_IN", "VIN")


class Channel:
    """One rail: the files to multiply for microwatts, either power itself or millivolts and milliamperes."""

    def __init__(self, monitor: str, chip: str, number: int) -> None:
        power_path = f"{monitor}/power{number}_input"
        volts_and_amperes = (f"{monitor}/in{number}_input", f"{monitor}/curr{number}_input")
        self.paths = (power_path,) if system_files.exists(power_path) else volts_and_amperes
        self.is_there = all(map(system_files.exists, self.paths)) and (
            system_files.read_int(f"{monitor}/in{number}_enable") != 0
        )
        self.label = system_files.read_text(f"{monitor}/in{number}_label")
        self.name = f"{chip} {self.label}" if self.label else chip
        self.update_s = (system_files.read_int(f"{monitor}/update_interval") or 0) / 1000.0

    @property
    def is_supply(self) -> bool:
        """Whether the label says that the whole board is fed through this rail."""
        return (self.label or "").upper().endswith(_SUPPLY_LABELS)

    def read(self) -> int | None:
        """Return microwatts; a supply that gives some back is a sensor that is wrong."""
        power_uw = 1
        for path in self.paths:
            value = system_files.read_int(path)
            if value is None or value < 0:
                return None
            power_uw *= value
        return power_uw


class HwmonSource(PowerSource):
    """The power that the board's supply gives."""

    kind = SourceKind.POWER_GAUGE

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.name = f"hwmon {channel.name}"
        self.period_s = max(PowerSource.period_s, channel.update_s)

    def read(self) -> int | None:
        """Return the microwatts of this moment."""
        return self._channel.read()


def open_source() -> HwmonSource | None:
    """Return the monitor of the board's supply; raise Unreadable where none can be told from the other rails."""
    channels = _find_channels()
    if not channels:
        return None
    supplies = [channel for channel in channels if channel.is_supply] if len(channels) > 1 else channels
    if len(supplies) != 1:
        names = ", ".join(channel.name for channel in channels)
        raise Unreadable(f"none of these rails is known to be the board's only supply: {names}")
    if supplies[0].read() is None:
        raise Unreadable(_explain(supplies[0]))
    return HwmonSource(supplies[0])


def _find_channels() -> list[Channel]:
    found = []
    for monitor in system_files.list_folder(_CLASS, "hwmon"):
        chip = system_files.read_text(f"{monitor}/name") or ""
        if chip.startswith("ina"):
            found += [Channel(monitor, chip, number) for number in _CHANNELS]
    return [channel for channel in found if channel.is_there]


def _explain(channel: Channel) -> str:
    for path in channel.paths:
        value = system_files.read_int(path)
        if value is None:
            return explain_unreadable(path)
        if value < 0:
            return f"{path} is negative"
    return f"{channel.paths[0]} could not be read a moment ago"
