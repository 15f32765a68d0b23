"""Read lists of CPUs as Linux writes them: "0", "0-1,3"."""

from __future__ import annotations


class BadCpuList(ValueError):
    """A setting is not a list of CPUs."""


def parse_cpu_list(text: object) -> frozenset[int] | None:
    """Return the CPUs of a list, or None where none is given: then a trial may run on any."""
    if text is None or text == "":
        return None
    cpus: set[int] = set()
    for part in str(text).split(","):
        first, dash, last = part.partition("-")
        try:
            begin, end = int(first), int(last if dash else first)
        except ValueError:
            raise BadCpuList(f"not a list of CPUs: {text!r}") from None
        if not 0 <= begin <= end < 4096:
            raise BadCpuList(f"not a list of CPUs: {text!r}")
        cpus.update(range(begin, end + 1))
    return frozenset(cpus)


def check_cpus(cpus: frozenset[int] | None, available: frozenset[int]) -> None:
    """Refuse CPUs that this process may not use."""
    absent = sorted((cpus or frozenset()) - available)
    if absent:
        raise BadCpuList(f"no CPU {absent[0]} here, only {', '.join(map(str, sorted(available)))}")
