"""Read clocks, load and memory for the record of each trial."""

from __future__ import annotations

from device_worker.sensing.plausible import FREQUENCY_MHZ, sift
from device_worker.system import system_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from device_worker.sensing.busiest import Busiest

_CPUS = "/sys/devices/system/cpu"


def read_cpu_mhz(discarded: list[str] | None = None) -> float | None:
    """Return the present clock of the fastest CPU in MHz, or None. Implausible clocks go to `discarded`."""
    mhz = _read_mhz("scaling_cur_freq", discarded)
    if mhz:
        return max(mhz)
    lines = (system_files.read_text("/proc/cpuinfo") or "").split("\n")  # an x86 kernel without cpufreq
    values = [system_files.parse_float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
    return max(sift((("/proc/cpuinfo", value or None) for value in values), FREQUENCY_MHZ, discarded), default=None)


def read_cpu_mhz_max(discarded: list[str] | None = None) -> float | None:
    """Return the highest clock of any CPU's hardware in MHz, or None. Implausible clocks go to `discarded`."""
    return max(_read_mhz("cpuinfo_max_freq", discarded), default=None)


def _read_mhz(name: str, discarded: list[str] | None) -> list[float]:
    khz = ((path, system_files.read_int(path)) for path in _cpufreq_files(name))
    # 0 is the clock of a CPU that is offline
    return sift(((path, value / 1000.0 if value else None) for path, value in khz), FREQUENCY_MHZ, discarded)


def read_policies_mhz() -> dict[str, float] | None:
    """Return the present clock of each frequency policy in MHz, a cluster of processors each, or None."""
    found = {}
    for path in _cpufreq_files("scaling_cur_freq"):
        khz = system_files.read_int(path)
        if khz and khz / 1000.0 in FREQUENCY_MHZ:
            found[path.split("/")[-2 if "/policy" in path else -3]] = khz / 1000.0
    return found or None


def read_governor() -> str | None:
    """Return the frequency governor, or all governors with commas between if CPUs differ, or None."""
    governors = {system_files.read_text(path) for path in governor_files()}
    return ",".join(sorted(name for name in governors if name)) or None


def governor_files() -> list[str]:
    """Return the paths of the governors of all processors."""
    return _cpufreq_files("scaling_governor")


def read_load_1m() -> float | None:
    """Return the load average of the last minute."""
    return system_files.parse_float((system_files.read_text("/proc/loadavg") or "").partition(" ")[0])


def read_memory_available_bytes() -> int | None:
    """Return the bytes that may be allocated without swapping, or None."""
    return system_files.read_kib("/proc/meminfo", "MemAvailable")


def read_swap_used_bytes() -> int | None:
    """Return the bytes of the machine that are in swap, or None. A machine without swap has 0 there."""
    total, free = (system_files.read_kib("/proc/meminfo", field) for field in ("SwapTotal", "SwapFree"))
    return None if total is None or free is None else max(0, total - free)


def surroundings(discarded: list[str], busiest: Busiest) -> dict[str, Callable[[], object]]:
    """Return the readings without a limit of their own, by key in the log's conditions.

    Implausible clocks go to `discarded`. `busiest` knows the processes since the last reading.
    """
    return {
        "cpu_mhz": lambda: read_cpu_mhz(discarded),
        "policies_mhz": read_policies_mhz,
        "load_1m": read_load_1m,
        "memory_available_bytes": read_memory_available_bytes,
        "swap_used_bytes": read_swap_used_bytes,
        "busiest_processes": busiest.read,
    }


def _cpufreq_files(name: str) -> list[str]:
    policies = system_files.list_folder(f"{_CPUS}/cpufreq", "policy")
    if policies:
        return [f"{policy}/{name}" for policy in policies]
    # Not every folder with the prefix is a CPU: `cpufreq` and `cpuidle` are none.
    return [f"{cpu}/cpufreq/{name}" for cpu in system_files.list_folder(_CPUS, "cpu") if cpu[-1].isdigit()]
