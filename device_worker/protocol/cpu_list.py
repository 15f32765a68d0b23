"""Read lists of CPUs in the format of Linux: "0", "0-1,3" (cpuset(7), List format)."""

from __future__ import annotations


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
        if not 0 <= begin <= end < 4096:  # bounded, since the range below is written out
            raise BadCpuList(f"not a list of CPUs: {text!r}")
        cpus.update(range(begin, end + 1))
    return frozenset(cpus)


def check_cpus(cpus: frozenset[int] | None, available: frozenset[int]) -> None:
    """Raise BadCpuList if `cpus` has a CPU outside `available`."""
    absent = sorted((cpus or frozenset()) - available)
    if absent:
        raise BadCpuList(f"no CPU {absent[0]} here, only {', '.join(map(str, sorted(available)))}")
