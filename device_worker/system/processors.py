"""Find the processors of a device by the kernel's numbers: present, online, and what this login may use.

The affinity of a login says less than what the login may use. `isolcpus` and `taskset` leave processors out to which a
process may pin itself all the same. A cpuset, of a container or a service, forbids processors. Only an attempt tells:
sched_setaffinity(2), cpuset(7).
"""

from __future__ import annotations

import os

from device_worker.protocol.cpu_list import BadCpuList, format_cpu_list, parse_cpu_list
from device_worker.system import system_files

PROCESSOR_LISTS = ("cpus_present", "cpus_online", "cpus_allowed", "cpus_usable")
"""The facts about processors. `cpus_allowed` is the affinity of the login, `cpus_usable` what can be pinned to."""

_CPUS = "/sys/devices/system/cpu"
_LIST_BYTES_MAX = 16 << 10


def read_processors() -> dict[str, str | None]:
    """Return the processors for the facts, by the names of PROCESSOR_LISTS. None is unknown.

    To be called by a thread whose affinity may change for a moment.
    """
    present, online, allowed = _read("present"), _read("online"), frozenset(os.sched_getaffinity(0))
    usable = allowed | _pin((online or frozenset()) | allowed)
    lists = (present, online, allowed, usable)
    return {name: None if cpus is None else format_cpu_list(cpus) for name, cpus in zip(PROCESSOR_LISTS, lists)}


def refuse_unusable(cpus: frozenset[int] | None) -> None:
    """Raise BadCpuList, with the reason, if a process of this login cannot be pinned to exactly `cpus`."""
    if not cpus or cpus <= os.sched_getaffinity(0):
        return
    left = cpus - _pin(cpus)
    if left:
        raise BadCpuList(_explain(left))


def _explain(cpus: frozenset[int]) -> str:
    """Return the reason why processors cannot be used."""
    present, online = _read("present"), _read("online")
    if present is not None and cpus - present:
        return f"no CPU {format_cpu_list(cpus - present)} here, only {format_cpu_list(present)}"
    if online is not None and cpus - online:
        return f"CPU {format_cpu_list(cpus - online)} is offline, online are {format_cpu_list(online)}"
    usable = frozenset(os.sched_getaffinity(0)) | _pin(online or cpus)
    return (
        f"this login may not use CPU {format_cpu_list(cpus)}, only {format_cpu_list(usable)}: "
        "the cpuset of its container, service or slice leaves the others out"
    )


def _pin(cpus: frozenset[int]) -> frozenset[int]:
    """Return those of `cpus` to which the kernel lets this thread pin itself. The affinity is as before afterwards."""
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, cpus)
        return frozenset(os.sched_getaffinity(0))
    except (OSError, ValueError):
        return frozenset()
    finally:
        try:
            os.sched_setaffinity(0, before)
        except OSError:  # the cpuset has changed in between, and the kernel has put us where we may be
            pass


def _read(name: str) -> frozenset[int] | None:
    try:
        return parse_cpu_list(system_files.read_text(f"{_CPUS}/{name}", _LIST_BYTES_MAX))
    except BadCpuList:
        return None
