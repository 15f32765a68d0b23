"""Hold the differences of two runs before any figure: environments of devices, and bytes of cells."""

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
    """Hold differing bytes, as hashes. `cells` are the cells with the same change, in words."""

    kind: BytesKind
    before: str
    after: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeviceDifference:
    """Hold the differences on a device of both runs.

    `hardware` and `environment` are the changed facts. `unknown` says why the facts are unknown, None for known facts.
    `only_before` and `only_after` are cells of a single run, in words.
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
        """Say whether the records of both runs are equal."""
        found = (self.hardware, self.environment, self.bytes, self.only_before, self.only_after)
        return self.unknown is None and not any(found)


@dataclass(frozen=True, slots=True)
class RunDifference:
    """Hold the differences of two runs.

    `terms` are the differing orders to the runs: sweep, seed, controller. `only_before` and `only_after` are devices of
    a single run.
    """

    before: str
    before_began_at: datetime
    after: str
    after_began_at: datetime
    terms: tuple[FactChange, ...]
    devices: tuple[DeviceDifference, ...]
    only_before: tuple[str, ...] = ()
    only_after: tuple[str, ...] = ()
