"""Describe the contents of a device's state folder, the order to clean the folder, and the result."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ItemKind(StrEnum):
    """Name the kinds of items in a state folder."""

    RUN = "run"
    BLOB = "blob"
    WORKER = "worker"
    LEFTOVER = "leftover"


@dataclass(frozen=True, slots=True)
class StockedRun:
    """Describe a run's folder on a device.

    `last_seq` is the last record of the log. `damaged` counts damaged logs set aside in the folder.
    """

    run: str
    state: str
    log_id: str | None
    last_seq: int | None
    size_bytes: int
    damaged: int


@dataclass(frozen=True, slots=True)
class CleanOrder:
    """Order a cleaning: remove the named runs, if still as found, and with `cache` all unneeded blobs and bundles."""

    runs: tuple[StockedRun, ...]  # with their last records: a log that has grown since the look stays
    cache: bool
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Item:
    """Describe an item in a state folder by the name there. `reason` says why the item stays, None if removed."""

    kind: ItemKind
    name: str
    size_bytes: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Cleaning:
    """Hold the items removed from a device (in a dry run: to be removed), and the items kept, with reasons."""

    removed: tuple[Item, ...]
    kept: tuple[Item, ...]

    @property
    def freed_bytes(self) -> int:
        """Return the size of all removed items in bytes."""
        return sum(item.size_bytes for item in self.removed)
