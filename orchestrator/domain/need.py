"""Ask for devices by what they are rather than by name, and choose among those that would do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orchestrator.domain.device import Device

NEED = "devices"
"""The key of a need among the settings of runs and submissions, as in sweep files."""

SITE = "site"
"""The tag over which `spread: true` spreads."""

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Need:
    """Ask for `count` devices that a selector picks, spread over the values of a tag if `spread` names one."""

    select: str
    count: int
    spread: str | None = None

    @property
    def settings(self) -> Mapping[str, Any]:
        """Return what a run keeps of the need among its settings."""
        return {NEED: {"select": self.select, "count": self.count, "spread": self.spread}}


def need_of(settings: Mapping[str, Any]) -> Need | None:
    """Return the need among the settings of a run or submission, or None where devices are named."""
    found = settings.get(NEED)
    return None if found is None else Need(str(found["select"]), int(found["count"]), found.get("spread"))


@dataclass(frozen=True, slots=True)
class Candidate:
    """Hold a device that would do. `free_at` is None for a free one, and `used_at` None for one that never ran.

    `group` is what devices are spread over.
    """

    name: str
    group: str = ""
    free_at: datetime | None = None
    used_at: datetime | None = None


def group_of(device: Device, need: Need) -> str:
    """Return the value of the need's tag. Without the tag, devices behind one gateway are together."""
    return "" if need.spread is None else device.tags.get(need.spread, device.jump or "")


def choose(need: Need, candidates: Sequence[Candidate], taken: Collection[str] = ()) -> tuple[str, ...]:
    """Return the names of the devices to use, or none where too few would do.

    Free devices go first, then those of groups with fewer devices among the chosen ones, then those that were used
    least recently. `taken` are wanted by others that stand before, and go last.
    """
    left = list(candidates)
    if len(left) < need.count:
        return ()
    chosen: list[Candidate] = []
    while len(chosen) < need.count:
        groups = Counter(one.group for one in chosen)
        best = min(left, key=lambda one: _rank(one, groups, taken))
        left.remove(best)
        chosen.append(best)
    return tuple(sorted(one.name for one in chosen))


def _rank(one: Candidate, groups: Mapping[str, int], taken: Collection[str]) -> tuple[Any, ...]:
    is_free = one.free_at is None
    # By name at last, so that every daemon chooses alike.
    return (one.name in taken, not is_free, one.free_at or _NEVER, groups[one.group], one.used_at or _NEVER, one.name)
