"""Read the conditions that a trial runs under: heat, clocks, throttling, load, memory."""

from __future__ import annotations

import time

from device_worker import system_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CPU_ZONE_WORDS = ("cpu", "soc", "pkg", "core", "k10temp", "bcm2835", "mpu")
_CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal", "scpi_sensors")
_PI_THROTTLED_FILE = "/sys/devices/platform/soc/soc:firmware/get_throttled"
_PI_NOW_BITS = 0xF
_CPUS = "/sys/devices/system/cpu"


def read_temperature_c() -> float | None:
    """Return the temperature of the hottest CPU sensor."""
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


def read_cpu_mhz() -> float | None:
    """Return the clock of the fastest CPU now."""
    khz = [value for value in map(system_files.read_int, _cpufreq_files("scaling_cur_freq")) if value]
    if khz:
        return max(khz) / 1000.0
    lines = (system_files.read_text("/proc/cpuinfo") or "").split("\n")
    mhz = [system_files.parse_float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
    return max((value for value in mhz if value), default=None)


def read_cpu_mhz_max() -> float | None:
    """Return the highest clock that the hardware of any CPU allows."""
    khz = [value for value in map(system_files.read_int, _cpufreq_files("cpuinfo_max_freq")) if value]
    return max(khz) / 1000.0 if khz else None


def read_governor() -> str | None:
    """Return the frequency governor; all of them, where CPUs differ."""
    governors = {system_files.read_text(path) for path in _cpufreq_files("scaling_governor")}
    return ",".join(sorted(name for name in governors if name)) or None


def read_load_1m() -> float | None:
    """Return the load average of the last minute."""
    return system_files.parse_float((system_files.read_text("/proc/loadavg") or "").partition(" ")[0])


def read_memory_available_bytes() -> int | None:
    """Return what may be allocated without swapping."""
    return system_files.read_kib("/proc/meminfo", "MemAvailable")


class ThrottleSensor:
    """Tell whether the CPU is held back by heat or a weak supply, now or since the last reading.

    A Raspberry Pi has bits for now and bits that stay set until the next boot; x86 counts its throttle events. Where
    the only evidence is a counter, a first reading knows nothing (None).
    """

    def __init__(self) -> None:
        self._sticky_bits: int | None = None
        self._count: int | None = None

    def read(self) -> bool | None:
        """Return whether the CPU was throttled, and remember what has been seen."""
        bits = _read_pi_bits()
        if bits is not None:
            sticky, before = bits >> 16, self._sticky_bits
            self._sticky_bits = sticky
            return bool(bits & _PI_NOW_BITS) or (before is not None and bool(sticky & ~before))
        count, counted = _read_throttle_count(), self._count
        self._count = count
        return None if count is None or counted is None else count > counted


def read_conditions(throttle: ThrottleSensor) -> dict[str, Any]:
    """Return the conditions of this moment; what the device does not say is None."""
    return {
        "temperature_c": read_temperature_c(),
        "cpu_mhz": read_cpu_mhz(),
        "governor": read_governor(),
        "throttled": throttle.read(),
        "load_1m": read_load_1m(),
        "memory_available_bytes": read_memory_available_bytes(),
        "clock_unix_ns": time.time_ns(),
    }


def _cpufreq_files(name: str) -> list[str]:
    policies = system_files.list_folder(f"{_CPUS}/cpufreq", "policy")
    if policies:
        return [f"{policy}/{name}" for policy in policies]
    return [f"{cpu}/cpufreq/{name}" for cpu in system_files.list_folder(_CPUS, "cpu") if cpu[-1].isdigit()]


def _read_pi_bits() -> int | None:
    bits = system_files.read_int(_PI_THROTTLED_FILE, 16)
    if bits is not None:
        return bits
    printed = system_files.run_program("vcgencmd", "get_throttled")  # throttled=0x50005
    return system_files.parse_int((printed or "").partition("=")[2] or None, 16)


def _read_throttle_count() -> int | None:
    counts = [
        system_files.read_int(f"{cpu}/thermal_throttle/{name}")
        for cpu in system_files.list_folder(_CPUS, "cpu")
        for name in ("core_throttle_count", "package_throttle_count")
    ]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
