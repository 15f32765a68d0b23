"""Read the power monitors of boards: INA2xx, and the INA3221 of Jetsons.

A board has several rails, and some rails feed others. The sum of all rails would count energy twice. Only the channel
of the board's supply is therefore read: the only channel, or the channel with a supply's label (VDD_IN, POM_5V_IN).
Source: Documentation/hwmon/ina2xx.rst and ina3221.rst of the kernel.
"""

from __future__ import annotations

from device_worker.protocol.vocabulary import SourceKind
from device_worker.sensing.power.base import PowerSource, Unreadable, explain_unreadable
from device_worker.system import system_files

_CLASS = "/sys/class/hwmon"
_CHANNELS = (1, 2, 3)
_SUPPLY_LABELS = ("_IN", "VIN")


class Channel:
    """A channel of a monitor, with the files to multiply for microwatts: power, or millivolts and milliamperes."""

    def __init__(self, monitor: str, chip: str, number: int) -> None:
        power_path = f"{monitor}/power{number}_input"
        volts_and_amperes = (f"{monitor}/in{number}_input", f"{monitor}/curr{number}_input")
        self.paths = (power_path,) if system_files.exists(power_path) else volts_and_amperes
        self.is_there = all(map(system_files.exists, self.paths)) and (
            system_files.read_int(f"{monitor}/in{number}_enable") != 0  # 0: the channel is switched off
        )
        self.label = system_files.read_text(f"{monitor}/in{number}_label")
        self.name = f"{chip} {self.label}" if self.label else chip
        self.update_s = (system_files.read_int(f"{monitor}/update_interval") or 0) / 1000.0

    @property
    def is_supply(self) -> bool:
        """Whether the label names the rail that feeds the whole board."""
        return (self.label or "").upper().endswith(_SUPPLY_LABELS)

    def read(self) -> int | None:
        """Return microwatts, or None for a failed reading."""
        power_uw = 1
        for path in self.paths:
            value = system_files.read_int(path)
            if value is None or value < 0:  # a supply takes no power back: a negative reading is a wrong sensor
                return None
            power_uw *= value
        return power_uw


class HwmonSource(PowerSource):
    """The power of the board's supply."""

    kind = SourceKind.POWER_GAUGE

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.name = f"hwmon {channel.name}"
        self.period_s = max(PowerSource.period_s, channel.update_s)
        self.is_mean = channel.update_s >= self.period_s  # between two updates, the chip averages its conversions

    def read(self) -> int | None:
        """Return the present microwatts, or None for a failed reading."""
        return self._channel.read()


def open_source() -> HwmonSource | None:
    """Return the source for the board's supply, or None without a monitor.

    Raise Unreadable if no channel, or more than one, has a supply's label, or if the channel cannot be read.
    """
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
