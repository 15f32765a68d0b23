"""Hold what differs between two runs before any figure: environments of devices, and bytes of cells."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestrator.domain.build import FactChange


class BytesKind(StrEnum):
    """Name the bytes behind a cell."""

    ARTIFACT = "artifact"
    RUNTIME = "runtime"
    WORKER = "worker"


@dataclass(frozen=True, slots=True)
class BytesChange:
    """Hold bytes that differ, as hashes. `cells` are the cells with this very change, in words."""

    kind: BytesKind
    before: str
    after: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeviceDifference:
    """Hold what differs on a device that both runs used.

    `hardware` and `environment` are facts that changed. `unknown` says why nothing is known of the facts, None if they
    are known. `only_before` and `only_after` are cells of one run alone, in words.
    """

    device: str
    hardware: tuple[FactChange, ...] = ()
    environment: tuple[FactChange, ...] = ()
    bytes: tuple[BytesChange, ...] = ()
    only_before: tuple[str, ...] = ()
    only_after: tuple[str, ...] = ()
    unknown: str | None = None

    @property
    def is_same(self) -> bool:
        """Say whether nothing that is on record differs."""
        found = (self.hardware, self.environment, self.bytes, self.only_before, self.only_after)
        return self.unknown is None and not any(found)


@dataclass(frozen=True, slots=True)
class RunDifference:
    """Hold what differs between two runs.

    `terms` are what the runs themselves were asked to do: sweep, seed, controller. `only_before` and `only_after` are
    devices of one run alone.
    """

    before: str
    before_began_at: datetime
    after: str
    after_began_at: datetime
    terms: tuple[FactChange, ...]
    devices: tuple[DeviceDifference, ...]
    only_before: tuple[str, ...] = ()
    only_after: tuple[str, ...] = ()
