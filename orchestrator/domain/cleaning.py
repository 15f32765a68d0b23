"""What lies on a device, what is to be cleared away, and what came of that."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What things on a device are."""

    RUN = "run"
    BLOB = "blob"
    WORKER = "worker"
    LEFTOVER = "leftover"


@dataclass(frozen=True, slots=True)
class StockedRun:
    """A run's folder on a device: how far its log goes, what it takes, and how many damaged logs lie beside it."""

    run: str
    state: str
    log_id: str | None
    last_seq: int | None
    size_bytes: int
    damaged: int


@dataclass(frozen=True, slots=True)
class CleanOrder:
    """What is to go: these runs as they were found, and of the cache whatever nobody needs."""

    runs: tuple[StockedRun, ...]
    cache: bool
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Thing:
    """Something on a device, by its name there; `reason` says why it stays, None where it went."""

    kind: Kind
    name: str
    size_bytes: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What went from a device, or would go, and what stays with its reason."""

    removed: tuple[Thing, ...]
    kept: tuple[Thing, ...]

    @property
    def freed_bytes(self) -> int:
        """Return how much room that makes."""
        return sum(thing.size_bytes for thing in self.removed)
