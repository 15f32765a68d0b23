"""Tell which processors of a device a trial can be pinned to, by the kernel's numbers.

Processors are names, not a count: some are offline, some are kept from a login, and a cpuset hands out any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.domain.cpus import parse_cpus

_TEXT_MAX = 4096
_KINDS_MAX = 16
_MHZ_MAX = 100_000
_WORDS = {2: ("fast", "slow"), 3: ("fast", "middle", "slow")}


@dataclass(frozen=True, slots=True)
class ProcessorKind:
    """Hold the processors of a device that are alike: fast ones, slow ones."""

    word: str
    cpus: frozenset[int]
    mhz_max: float | None = None

    @property
    def words(self) -> str:
        """Return the kind in words: `fast 4-7 (up to 2400 MHz)`."""
        clock = "" if self.mhz_max is None else f" (up to {self.mhz_max:.0f} MHz)"
        return f"{self.word} {_list(self.cpus)}{clock}"


@dataclass(frozen=True, slots=True)
class Processors:
    """Hold a device's processors. None stands for what the device does not tell.

    `count` is the number of those that a trial without pinning may use, and `allowed` are their numbers. `usable` are
    those that a trial can be pinned to, by the device's own attempt. `kinds` are several only where they differ in
    speed, the fastest first.
    """

    count: int | None = None
    present: frozenset[int] | None = None
    online: frozenset[int] | None = None
    usable: frozenset[int] | None = None
    allowed: frozenset[int] | None = None
    kinds: tuple[ProcessorKind, ...] = ()

    @classmethod
    def of_facts(cls, values: Mapping[str, Any]) -> Processors:
        """Return the processors by a device's facts."""
        count = values.get("cpu_count")
        keys = ("cpus_present", "cpus_online", "cpus_usable", "cpus_allowed")
        present, online, usable, allowed = (_numbers(values.get(key)) for key in keys)
        kinds = _kinds(values.get("cpu_kinds"))
        return cls(count if isinstance(count, int) else None, present, online, usable, allowed, kinds)

    @property
    def kinds_words(self) -> str | None:
        """Return the kinds in words, or None where all processors are alike, as far as is known."""
        return ", ".join(kind.words for kind in self.kinds) or None

    def of_several_kinds(self, wanted: frozenset[int] | None) -> tuple[ProcessorKind, ...]:
        """Return the kinds that trials may run on, if several. `wanted` are pinned processors, None without pinning."""
        within = self.allowed if wanted is None else wanted
        found = tuple(
            replace(kind, cpus=kind.cpus if within is None else kind.cpus & within)
            for kind in self.kinds
            if within is None or kind.cpus & within
        )
        return found if len(found) > 1 else ()

    def kept_from_unpinned(self) -> tuple[ProcessorKind, ...]:
        """Return the kinds of which an unpinned trial may use none, as isolcpus has it."""
        allowed = self.allowed
        return () if allowed is None else tuple(kind for kind in self.kinds if not kind.cpus & allowed)

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


def _kinds(said: object) -> tuple[ProcessorKind, ...]:
    """Return the kinds by a device's word, which may be anything."""
    entries = said[:_KINDS_MAX] if isinstance(said, list) else []
    found = [(_numbers(one.get("cpus")), one.get("mhz_max")) for one in entries if isinstance(one, Mapping)]
    known = [(cpus, _clock(mhz)) for cpus, mhz in found if cpus]
    if len(known) < 2:
        return ()
    words = _WORDS.get(len(known)) or tuple(f"kind {place}" for place in range(1, len(known) + 1))
    return tuple(ProcessorKind(word, cpus, mhz) for word, (cpus, mhz) in zip(words, known, strict=True))


def _clock(said: object) -> float | None:
    if not isinstance(said, int | float) or isinstance(said, bool):
        return None
    return float(said) if 0 < said < _MHZ_MAX else None


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
