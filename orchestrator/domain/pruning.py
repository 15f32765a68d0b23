"""Describe how raw samples of old runs are deleted, while summaries stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from orchestrator.domain.moments import noted

ABANDONED = timedelta(days=1)
"""Contents that no submission names are kept for so long: an upload may still be going on."""


class Keeping(StrEnum):
    """Name the reasons why an old run keeps its raw samples."""

    BASELINE = "level of a baseline"
    REGRESSION = "evidence of a regression"
    UNDER_WAY = "under way"


@dataclass(frozen=True, slots=True)
class RawSamples:
    """Count the blocks of raw samples and readings, and their bytes."""

    blocks: int = 0
    size_bytes: int = 0

    def __add__(self, other: RawSamples) -> RawSamples:
        """Return both together."""
        return RawSamples(self.blocks + other.blocks, self.size_bytes + other.size_bytes)


@dataclass(frozen=True, slots=True)
class Pruned:
    """Say that the raw samples of a run were deleted, by whom and when."""

    who: str
    at: datetime

    @property
    def sentence(self) -> str:
        """Return that in words."""
        return f"the raw samples and power readings were pruned on {noted(self.at)} by {self.who}; summaries stay"


@dataclass(frozen=True, slots=True)
class PrunedRun:
    """Hold a run with the raw samples that went, or with a dry run would go."""

    run: str
    started_at: datetime
    raw: RawSamples


@dataclass(frozen=True, slots=True)
class Pruning:
    """Hold what a pruning removed, or with `dry_run` would remove, of the runs begun before a moment.

    `kept` has the reason of each old run that keeps its samples. `contents` are those of cut submissions. `advice` says
    how to give the room back to the disk.
    """

    before: datetime
    dry_run: bool
    runs: tuple[PrunedRun, ...]
    kept: Mapping[str, Keeping]
    contents: RawSamples
    advice: str | None

    @property
    def size_bytes(self) -> int:
        """Return the bytes of everything that went."""
        return self.contents.size_bytes + sum(one.raw.size_bytes for one in self.runs)
