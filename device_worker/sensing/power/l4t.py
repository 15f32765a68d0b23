"""Read the INA3221 of Jetsons by the driver of older vendor kernels (L4T 32 and before): rails by name, in milliwatts.

The driver `ina3221x` is none of hwmon. Source: the kernel of L4T 4.9, drivers/staging/iio/meter/ina3221.c.
"""

from __future__ import annotations

from device_worker.sensing.power.rails import Rail, RailSource, open_supply
from device_worker.system import system_files

_DRIVER = "/sys/bus/i2c/drivers/ina3221x"
_CHANNELS = (0, 1, 2)
_UW_PER_MW = 1000
_STEP_UW = 40000.0  # 8 mA at 5 V: 40 microvolts across the shunt of 5 milliohms


def open_source() -> RailSource | None:
    """Return the source for the board's supply, or None without the driver.

    Raise Unreadable if no rail, or more than one, can be the supply, or if the supply cannot be read.
    """
    return open_supply("ina3221x", [rail for rail in map(_rail, _channels()) if rail is not None])


def _channels() -> list[tuple[str, int]]:
    chips = [chip for chip in system_files.list_folder(_DRIVER) if "-" in chip.rpartition("/")[2]]  # such as 6-0040
    monitors = [monitor for chip in chips for monitor in system_files.list_folder(chip, "iio:device")]
    return [(monitor, number) for monitor in monitors for number in _CHANNELS]


def _rail(channel: tuple[str, int]) -> Rail | None:
    monitor, number = channel
    power = f"{monitor}/in_power{number}_input"
    label = system_files.read_text(f"{monitor}/rail_name_{number}")
    if not label or not system_files.exists(power):
        return None
    rail = Rail("ina3221", label, (power,), _UW_PER_MW)
    rail.step_uw = _STEP_UW
    return rail
