"""Tell which processors of a device a trial can be pinned to, by the kernel's numbers.

Processors are names, not a count: some are offline, some are kept from a login, and a cpuset hands out any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.domain.cpus import parse_cpus

_TEXT_MAX = 4096


@dataclass(frozen=True, slots=True)
class Processors:
    """Hold a device's processors. None stands for what the device does not tell.

    `count` is the number of those that a trial without pinning may use. `usable` are those that a trial can be pinned
    to, by the device's own attempt.
    """

    count: int | None = None
    present: frozenset[int] | None = None
    online: frozenset[int] | None = None
    usable: frozenset[int] | None = None

    @classmethod
    def of_facts(cls, values: Mapping[str, Any]) -> Processors:
        """Return the processors by a device's facts."""
        count = values.get("cpu_count")
        lists = (_numbers(values.get(key)) for key in ("cpus_present", "cpus_online", "cpus_usable"))
        return cls(count if isinstance(count, int) else None, *lists)

    def against_pinning(self, wanted: frozenset[int]) -> str | None:
        """Return the reason why no trial can be pinned to processors, or None if there is no known reason."""
        if self.present is not None and wanted - self.present:
            return f"processor {_list(wanted - self.present)} is not there, only {_list(self.present)}"
        if self.online is not None and wanted - self.online:
            return f"processor {_list(wanted - self.online)} is offline, online are {_list(self.online)}"
        if self.usable is not None and wanted - self.usable:
            return (
                f"the device's user may not use processor {_list(wanted - self.usable)}, only {_list(self.usable)}: "
                "the cpuset of its container, service or slice leaves the others out"
            )
        return None

    def against_threads(self, threads: int) -> str | None:
        """Return the reason why a trial that is not pinned cannot have so many threads at once, or None."""
        if self.count is None or threads <= self.count:
            return None
        present = 0 if self.present is None else len(self.present)
        if present <= self.count:
            return f"{threads} threads on a device of {count_words(self.count)}"
        remedy = "; pin the cell to more by cpus" if self.usable and len(self.usable) > self.count else ""
        return f"{threads} threads, and an unpinned trial may use {self.count} of {count_words(present)} there{remedy}"


def count_words(count: int) -> str:
    """Return a number of processors in words."""
    return f"{count} processor{'' if count == 1 else 's'}"


def _numbers(text: object) -> frozenset[int] | None:
    if not isinstance(text, str) or len(text) > _TEXT_MAX:
        return None
    try:
        return frozenset(parse_cpus(text))
    except ValueError:  # a device may say anything, and the trial will tell
        return None


def _list(cpus: frozenset[int]) -> str:
    """Return processors as a list in the form of taskset: `0-3,5`."""
    ordered = sorted(cpus)
    # Within a range, number minus place is constant.
    runs: dict[int, list[int]] = {}
    for place, cpu in enumerate(ordered):
        runs.setdefault(cpu - place, []).append(cpu)
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs.values())
