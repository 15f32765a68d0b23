"""Hold the models of a database: the variants with their ancestry and artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ArtifactRecord:
    """Hold an artifact of a variant. `size_bytes` is None before a plan has shipped the artifact.

    `declared` is the accuracy by the maker, by metric. `measured` is the newest accuracy by a device, by metric.
    `last_run` is the newest run that planned the artifact.
    """

    variant: str
    format: str | None
    sha256: str
    size_bytes: int | None
    precision: str
    made: str
    parent: str | None
    declared: Mapping[str, float]
    measured: Mapping[str, float]
    last_run: str | None
    last_run_at: datetime | None


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """Hold a model with the artifacts of all variants, each variant behind its parent."""

    name: str
    task: str
    description: str
    license: str | None
    artifacts: tuple[ArtifactRecord, ...]

    def depth(self, variant: str) -> int:
        """Return the number of ancestors of a variant. A circle of parents ends the count."""
        parents = {one.variant: one.parent for one in self.artifacts}
        seen: set[str] = set()
        parent = parents.get(variant)
        while parent is not None and parent not in seen:
            seen.add(parent)
            parent = parents.get(parent)
        return len(seen)
