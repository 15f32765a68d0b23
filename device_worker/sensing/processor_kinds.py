"""Find which processors of a device are fast and which are slow, where the kernel tells.

Three sources, the surest first: on hybrid parts of Intel a folder of counters for each kind of core; on ARM and RISC-V
the capacity of each processor, out of 1024; anywhere the highest clock of each processor.
"""

from __future__ import annotations

from device_worker.protocol.cpu_list import BadCpuList, format_cpu_list, parse_cpu_list
from device_worker.sensing.plausible import FREQUENCY_MHZ
from device_worker.system import system_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

_CPUS = "/sys/devices/system/cpu"
_CORES = ("cpu_core", "cpu_atom", "cpu_lowpower")
"""The folders of Intel's kinds below /sys/devices, the fastest first."""

_SAME_RATIO = 0.95
"""Processors of one kind differ by a few per cent: each chip is binned, and some cores are favoured."""

_LIST_BYTES_MAX = 16 << 10


def read_kinds() -> list[dict[str, Any]] | None:
    """Return the kinds of online processors, the fastest first, or None where all are alike or the kernel is silent.

    Each kind has `cpus`, a list, with `name`, `capacity` and `mhz_max`, each None where the kernel does not tell.
    """
    online = _parse(system_files.read_text(f"{_CPUS}/online", _LIST_BYTES_MAX))
    numbers = _numbers()
    if online:
        numbers = [cpu for cpu in numbers if cpu in online]
    capacities, clocks = _capacities(numbers), _clocks()
    names = _names()
    groups = _grouped(names, numbers) or _split(capacities, numbers) or _split(clocks, numbers)
    if len(groups) < 2:
        return None
    return [
        {
            "cpus": format_cpu_list(group),
            "name": names.get(group[0]),
            "capacity": max((capacities[cpu] for cpu in group if cpu in capacities), default=None),
            "mhz_max": max((clocks[cpu] for cpu in group if cpu in clocks), default=None),
        }
        for group in groups
    ]


def _numbers() -> list[int]:
    """Return the kernel's numbers of processors with a folder."""
    tails = (path.rpartition("/cpu")[2] for path in system_files.list_folder(_CPUS, "cpu"))
    numbers = map(system_files.parse_int, tails)  # `cpufreq` and `cpuidle` are none
    return sorted(number for number in numbers if number is not None)


def _names() -> dict[int, str]:
    """Return the name of each processor's kind of core. A kind of which all are offline is not there."""
    found = {}
    for name in _CORES:
        for cpu in _parse(system_files.read_text(f"/sys/devices/{name}/cpus", _LIST_BYTES_MAX)) or ():
            found[cpu] = name
    return found


def _capacities(numbers: list[int]) -> dict[int, int]:
    found = {cpu: system_files.read_int(f"{_CPUS}/cpu{cpu}/cpu_capacity") for cpu in numbers}
    return {cpu: value for cpu, value in found.items() if value is not None and value > 0}


def _clocks() -> dict[int, float]:
    """Return the highest clock of each processor in MHz."""
    found: dict[int, int | None] = {}
    for policy in system_files.list_folder(f"{_CPUS}/cpufreq", "policy"):
        related = (system_files.read_text(f"{policy}/related_cpus", _LIST_BYTES_MAX) or "").split()
        for cpu in map(system_files.parse_int, related):
            if cpu is not None:
                found[cpu] = system_files.read_int(f"{policy}/cpuinfo_max_freq")
    for cpu in _numbers():
        found.setdefault(cpu, system_files.read_int(f"{_CPUS}/cpu{cpu}/cpufreq/cpuinfo_max_freq"))
    clocks = {cpu: khz / 1000.0 for cpu, khz in found.items() if khz is not None}
    return {cpu: mhz for cpu, mhz in clocks.items() if mhz in FREQUENCY_MHZ}


def _grouped(names: Mapping[int, str], numbers: list[int]) -> list[list[int]]:
    """Return processors by the names of their kinds. None where a processor has no name: then something is not told."""
    if not numbers or not all(cpu in names for cpu in numbers):
        return []
    groups = ([cpu for cpu in numbers if names[cpu] == name] for name in _CORES)
    return [group for group in groups if group]


def _split(values: Mapping[int, float], numbers: list[int]) -> list[list[int]]:
    """Return processors by a value, cut where the value falls by more than those of one kind differ."""
    if not numbers or not all(cpu in values for cpu in numbers):
        return []
    groups: list[list[int]] = []
    last = 0.0
    for cpu in sorted(numbers, key=lambda cpu: (-values[cpu], cpu)):
        if not groups or values[cpu] < _SAME_RATIO * last:
            groups.append([])
        groups[-1].append(cpu)
        last = values[cpu]
    return [sorted(group) for group in groups]


def _parse(text: str | None) -> frozenset[int] | None:
    try:
        return parse_cpu_list(text)
    except BadCpuList:
        return None
