"""Watch the temperature of the CPU."""

from __future__ import annotations

from functools import partial

from device_worker.sensing.conditions.base import Condition
from device_worker.sensing.plausible import TEMPERATURE_C, sift
from device_worker.system import system_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterable, Iterator

_CPU_ZONE_WORDS = ("cpu", "soc", "pkg", "core", "k10temp", "bcm2835", "mpu")
_CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal", "scpi_sensors")
_INPUT = "_input"
_WHOLE_DEGREES_MIN = 15


class Temperature(Condition):
    """The temperature of the hottest CPU sensor, in degrees Celsius. The runner waits for a hot device."""

    reading = "temperature_c"
    limit = "temperature_c_max"
    invalid = "too-hot"
    unanswered = "temperature-unknown"
    is_waited_for = True

    def read(self) -> float | None:
        """Return the present temperature."""
        discarded: list[str] = []
        self.discarded = discarded
        return read_temperature_c(discarded)

    def explain_unknown(self) -> str:
        """Return the reason for a missing temperature."""
        found = "; ".join(self.discarded)
        nowhere = "no sensor in /sys/class/thermal or /sys/class/hwmon gives a plausible temperature of a CPU"
        return f"{nowhere}: {found}" if found else nowhere


def read_temperature_c(discarded: list[str] | None = None) -> float | None:
    """Return the temperature of the hottest CPU sensor in degrees Celsius, or None without a plausible sensor.

    Implausible temperatures go to `discarded`.
    """
    plausible = sift(_zones(), TEMPERATURE_C, discarded) or sift(_sensors(discarded), TEMPERATURE_C, discarded)
    return max(plausible, default=None)


def _zones() -> Iterator[tuple[str, float | None]]:
    for zone in system_files.list_folder("/sys/class/thermal", "thermal_zone"):
        kind = system_files.read_text(f"{zone}/type") or ""
        if any(word in kind.lower() for word in _CPU_ZONE_WORDS):
            yield f"{zone} ({kind})", _celsius(system_files.read_int(f"{zone}/temp"), partial(_limits_of_zone, zone))


def _sensors(discarded: list[str] | None) -> Iterator[tuple[str, float | None]]:
    for sensor in system_files.list_folder("/sys/class/hwmon", "hwmon"):
        if system_files.read_text(f"{sensor}/name") in _CPU_SENSORS:
            for path in _inputs(sensor):
                stem = path[: -len(_INPUT)]
                if system_files.read_int(f"{stem}_fault") == 1:
                    if discarded is not None:
                        discarded.append(f"{path}: the driver reports a fault of the sensor")
                elif system_files.read_int(f"{stem}_enable") != 0:
                    yield path, _celsius(system_files.read_int(path), partial(_limits_of_sensor, stem))


def _inputs(sensor: str) -> list[str]:
    """Return the files of a sensor's temperatures, without those that steer the fan."""
    inputs = [path for path in system_files.list_folder(sensor, "temp") if path.endswith(_INPUT)]
    labels = {path: system_files.read_text(f"{path[: -len(_INPUT)]}_label") for path in inputs}
    # Source: Documentation/hwmon/k10temp.rst: Tctl of some processors is Tdie and 10 to 27 degrees more.
    return [path for path in inputs if labels[path] != "Tctl" or "Tdie" not in labels.values()]


def _celsius(value: int | None, bounds: Callable[[], Iterable[int | None]]) -> float | None:
    """Return a reading in degrees. The kernel gives thousandths; kernels of vendors have given tenths and degrees.

    `bounds` gives the sensor's own limits, which are in the unit of the reading.
    """
    if value is None:
        return None
    if not _WHOLE_DEGREES_MIN <= value <= TEMPERATURE_C.high * 10:
        return value / 1000.0
    # Without limits the reading itself tells: a CPU that runs is at 15 to 150 degrees a thousand times as likely as
    # within those of a thousandth.
    largest = max((bound for bound in bounds() if bound is not None and bound > 0), default=value)
    if largest > TEMPERATURE_C.high * 10:
        return value / 1000.0
    return value / 10.0 if largest > TEMPERATURE_C.high else float(value)


def _limits_of_zone(zone: str) -> Iterator[int | None]:
    for path in system_files.list_folder(zone, "trip_point"):
        if path.endswith("_temp"):
            yield system_files.read_int(path)


def _limits_of_sensor(stem: str) -> Iterator[int | None]:
    for end in ("crit", "max", "emergency"):
        yield system_files.read_int(f"{stem}_{end}")
