"""Read and write lists of CPUs in the format of Linux: "0", "0-1,3" (cpuset(7), List format)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable

_CPU_MAX = 4095


class BadCpuList(ValueError):
    """The setting is not a list of CPUs, or names a CPU that the process may not use."""


def parse_cpu_list(text: object) -> frozenset[int] | None:
    """Return the CPUs of a list, or None for an empty list: the trial may run on any CPU. Raise BadCpuList."""
    if text is None or text == "":
        return None
    cpus: set[int] = set()
    for part in str(text).split(","):
        first, dash, last = part.partition("-")
        try:
            begin, end = int(first), int(last if dash else first)
        except ValueError:
            raise BadCpuList(f"not a list of CPUs: {text!r}") from None
        if not 0 <= begin <= end <= _CPU_MAX:  # bounded, since the range below is written out
            raise BadCpuList(f"not a list of CPUs: {text!r}")
        cpus.update(range(begin, end + 1))
    return frozenset(cpus)


def format_cpu_list(cpus: Iterable[int]) -> str:
    """Return CPUs as a list in the format of Linux."""
    ranges: list[list[int]] = []
    for cpu in sorted(cpus):
        if ranges and ranges[-1][1] == cpu - 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
