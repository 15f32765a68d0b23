"""Watch the temperature of the CPU."""

from __future__ import annotations

from device_worker.sensing.conditions.base import Condition
from device_worker.system import system_files

_CPU_ZONE_WORDS = ("cpu", "soc", "pkg", "core", "k10temp", "bcm2835", "mpu")
_CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal", "scpi_sensors")


class Temperature(Condition):
    """The temperature of the hottest CPU sensor, in degrees Celsius. The runner waits for a hot device."""

    reading = "temperature_c"
    limit = "temperature_c_max"
    invalid = "too-hot"
    unanswered = "temperature-unknown"
    is_waited_for = True

    def read(self) -> float | None:
        """Return the present temperature."""
        return read_temperature_c()

    def explain_unknown(self) -> str:
        """Return the reason for a missing temperature."""
        return "no sensor in /sys/class/thermal or /sys/class/hwmon gives a plausible temperature of a CPU"


def read_temperature_c() -> float | None:
    """Return the temperature of the hottest CPU sensor in degrees Celsius, or None without a plausible sensor."""
    millidegrees = []
    for zone in system_files.list_folder("/sys/class/thermal", "thermal_zone"):
        kind = (system_files.read_text(f"{zone}/type") or "").lower()
        if any(word in kind for word in _CPU_ZONE_WORDS):
            millidegrees.append(system_files.read_int(f"{zone}/temp"))
    if not millidegrees:
        for sensor in system_files.list_folder("/sys/class/hwmon", "hwmon"):
            if system_files.read_text(f"{sensor}/name") in _CPU_SENSORS:
                inputs = system_files.list_folder(sensor, "temp")
                millidegrees += [system_files.read_int(path) for path in inputs if path.endswith("_input")]
    plausible = [value for value in millidegrees if value is not None and -40000 < value < 150000]
    return max(plausible) / 1000.0 if plausible else None
