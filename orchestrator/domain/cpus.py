"""Read lists of processors in the form of taskset and the kernel: `0-3,5`."""

from __future__ import annotations

import re

_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
CPU_MAX = 4095  # a bound, so that `0-99999` makes no long list


def parse_cpus(text: str) -> tuple[int, ...]:
    """Return the processor numbers of a list, sorted. Raise ValueError for any other text."""
    cpus: set[int] = set()
    for part in text.split(","):
        found = _RANGE.fullmatch(part.strip())
        if found is None:
            raise ValueError(f"{text!r} is not a list of processors such as 0-3,5")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first or last > CPU_MAX:
            raise ValueError(f"{part.strip()!r} is not a range of processors")
        cpus.update(range(first, last + 1))
    return tuple(sorted(cpus))
