"""Read the power monitors of boards by the kernel's hwmon: INA2xx, and the INA3221 of Jetsons.

Source: Documentation/hwmon/{sysfs-interface,ina2xx,ina3221,ina238}.rst of the kernel: millivolts, milliamperes and
microwatts. A channel is named by its own label, or by the label of the device.
"""

from __future__ import annotations

from device_worker.sensing.power.base import Unreadable
from device_worker.sensing.power.rails import Rail, RailSource, open_supply
from device_worker.system import system_files

_CLASS = "/sys/class/hwmon"
_CHANNELS = (1, 2, 3, 4)
_ENABLES = ("in", "curr", "power")
_UW_PER_MW = 1000
_UNITS_TELL_UW = 100000
_UNIT_TOLERANCE = 10.0
_SHUNT_UOHM = 5000  # of Jetsons, where the driver does not tell
_SHUNT_STEP_UV = 40.0  # of the INA3221, the coarsest of its family
_FILE_STEP_A = 0.001  # curr*_input has milliamperes


def open_source() -> RailSource | None:
    """Return the source for the board's supply, or None without a monitor.

    Raise Unreadable if no rail, or more than one, can be the supply, or if the supply cannot be read.
    """
    return open_supply("hwmon", _find_rails())


def _find_rails() -> list[Rail]:
    found: list[Rail] = []
    for monitor in system_files.list_folder(_CLASS, "hwmon"):
        chip = system_files.read_text(f"{monitor}/name") or ""
        if chip.startswith("ina"):
            numbers = [number for number in _CHANNELS if _is_there(monitor, number)]
            found += [_rail(monitor, chip, number, is_only=len(numbers) == 1) for number in numbers]
    return found


def _is_there(monitor: str, number: int) -> bool:
    # 0: the channel is switched off, and shows what was measured last
    enabled = all(system_files.read_int(f"{monitor}/{kind}{number}_enable") != 0 for kind in _ENABLES)
    return enabled and all(map(system_files.exists, _files(monitor, number)))


def _files(monitor: str, number: int) -> tuple[str, ...]:
    power = f"{monitor}/power{number}_input"
    return (power,) if system_files.exists(power) else _volts_and_amperes(monitor, number)


def _volts_and_amperes(monitor: str, number: int) -> tuple[str, str]:
    return f"{monitor}/in{number}_input", f"{monitor}/curr{number}_input"


def _rail(monitor: str, chip: str, number: int, *, is_only: bool) -> Rail:
    own = (system_files.read_text(f"{monitor}/{kind}{number}_label") for kind in ("in", "power", "curr"))
    label = next(filter(None, own), None)
    device = system_files.read_text(f"{monitor}/label")
    if label is None and is_only:  # the label of a device with several channels names none of them
        label = device
    paths = _files(monitor, number)
    rail = Rail(chip, label, paths, _unit_uw(monitor, number) if len(paths) == 1 else 1)
    if len(paths) > 1:
        rail.step_uw = _step_uw(monitor, number)
    rail.update_s = (system_files.read_int(f"{monitor}/update_interval") or 0) / 1000.0
    return rail


def _step_uw(monitor: str, number: int) -> float:
    """Return the microwatts of a step of the current, which the voltage across the shunt is measured in."""
    shunt_uohm = system_files.read_int(f"{monitor}/shunt{number}_resistor") or _SHUNT_UOHM
    step_a = max(_SHUNT_STEP_UV / shunt_uohm, _FILE_STEP_A)
    return step_a * 1000.0 * (system_files.read_int(f"{monitor}/in{number}_input") or 0)


def _unit_uw(monitor: str, number: int) -> int:
    """Return the microwatts of a unit of the power file. Raise Unreadable if volts and amperes say something else.

    The kernel's drivers give microwatts, and drivers of vendors have given milliwatts.
    """
    power = system_files.read_int(f"{monitor}/power{number}_input")
    millivolts, milliamperes = map(system_files.read_int, _volts_and_amperes(monitor, number))
    product_uw = (millivolts or 0) * (milliamperes or 0)
    if not power or power < 0 or product_uw < _UNITS_TELL_UW:  # next to no load: rounding hides the unit
        return 1
    # Wide, since the load may change between the readings of the files. The units are a factor of 1,000 apart.
    for unit_uw in (1, _UW_PER_MW):
        if 1.0 / _UNIT_TOLERANCE < power * unit_uw / product_uw < _UNIT_TOLERANCE:
            return unit_uw
    raise Unreadable(
        f"{monitor}/power{number}_input says {power}, and volts times amperes are {product_uw} microwatts: "
        "in which unit is the power?"
    )
