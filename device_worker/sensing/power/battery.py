"""Read the power that a battery gives. While the battery is charged, its power is not that of the device.

Source: Documentation/ABI/testing/sysfs-class-power of the kernel: microwatts, microamperes and microvolts.
"""

from __future__ import annotations

from device_worker.protocol.vocabulary import SourceKind
from device_worker.sensing.plausible import POWER_W
from device_worker.sensing.power.base import Implausible, Lost, PowerSource, Unreadable, explain_unreadable
from device_worker.system import system_files

_CLASS = "/sys/class/power_supply"
_DISCHARGING = "Discharging"
_PERIOD_S = 1.0  # gauges of batteries update once in one to thirty seconds
_ACCURACY_RATIO = 0.05
_STEP_UW = 10000.0
_PW_PER_UW = 1000000
_UW_PER_W = 1e6


class BatterySource(PowerSource):
    """The power of the only battery of a device."""

    kind = SourceKind.POWER_GAUGE
    period_s = _PERIOD_S
    is_mean = True
    update_s = _PERIOD_S
    resolution = _STEP_UW
    accuracy_ratio = _ACCURACY_RATIO

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.name = f"battery {folder.rpartition('/')[2]}"

    def read(self) -> int | None:
        """Return the present microwatts, or None for a failed reading. Raise Lost once the battery is charged."""
        status = system_files.read_text(f"{self._folder}/status")
        if status != _DISCHARGING:
            raise Lost(f"the battery is not what feeds the device (status: {status})")
        power_uw = system_files.read_int(f"{self._folder}/power_now")
        if power_uw is None:
            current_ua = system_files.read_int(f"{self._folder}/current_now")
            voltage_uv = system_files.read_int(f"{self._folder}/voltage_now")
            if current_ua is None or voltage_uv is None:
                return None
            power_uw = current_ua * voltage_uv // _PW_PER_UW
        power_uw = abs(power_uw)  # some drivers give what leaves the battery a sign
        if power_uw / _UW_PER_W not in POWER_W:
            raise Implausible(POWER_W.objection(self.name, power_uw / _UW_PER_W))
        return power_uw


def open_source() -> BatterySource | None:
    """Return the source, or None without a battery. Raise Unreadable if no power of the device can be told from it."""
    found = [folder for folder in system_files.list_folder(_CLASS) if _feeds_device(folder)]
    if not found:
        return None
    if len(found) > 1:
        names = ", ".join(folder.rpartition("/")[2] for folder in found)
        raise Unreadable(f"several batteries, and nobody knows which of them feeds the device: {names}")
    source = BatterySource(found[0])
    try:
        if source.read() is None:
            raise Unreadable(explain_unreadable(f"{found[0]}/power_now"))
    except (Lost, Implausible) as error:
        raise Unreadable(str(error)) from None
    return source


def _feeds_device(folder: str) -> bool:
    # Scope `Device` is the battery of a mouse or of a headset.
    is_battery = system_files.read_text(f"{folder}/type") == "Battery"
    return is_battery and system_files.read_text(f"{folder}/scope") != "Device"
