"""Hold the state of a model's files: hashed again, or built again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.domain.blob import BlobKind
from orchestrator.domain.model import Format


class FileState(StrEnum):
    """Say whether a declared file is there, and unchanged."""

    OK = "ok"
    MISSING = "missing"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class FileCheck:
    """Hold a declared file. `name` is the variant's or data set's. `found_sha256` is None for a missing file.

    `format` is the artifact's. A data set has no format.
    """

    model: str
    kind: BlobKind
    name: str
    path: str
    declared_sha256: str
    found_sha256: str | None
    format: Format | None = None

    @property
    def state(self) -> FileState:
        """Return the state, from the two hashes."""
        if self.found_sha256 is None:
            return FileState.MISSING
        return FileState.OK if self.found_sha256 == self.declared_sha256 else FileState.CHANGED

    @property
    def ok(self) -> bool:
        """Say whether the file is unchanged."""
        return self.state is FileState.OK


@dataclass(frozen=True, slots=True)
class BuiltVariant:
    """Hold an artifact before and after a build. `new_accuracy` has the recipe's measurements, by metric.

    `old_sha256` is None for an artifact that no model.yaml declared. `new_made` is None where the recipe says nothing.
    """

    name: str
    format: Format
    path: str
    old_sha256: str | None
    new_sha256: str
    old_accuracy: Mapping[str, float]
    new_accuracy: Mapping[str, float]
    new_made: str | None = None

    @property
    def changed(self) -> bool:
        """Say whether the artifact differs from the declared artifact."""
        return self.old_sha256 != self.new_sha256


@dataclass(frozen=True, slots=True)
class BuiltDataset:
    """Hold a data set before and after a build. What no model.yaml declared is None before."""

    name: str
    path: str
    old_sha256: str | None
    new_sha256: str
    old_samples: int | None
    new_samples: int

    @property
    def changed(self) -> bool:
        """Say whether the data set differs from the declared data set."""
        return self.old_sha256 != self.new_sha256


@dataclass(frozen=True, slots=True)
class BuiltModel:
    """Hold the files replaced by a build. Data sets unknown to the recipe are left out."""

    model: str
    directory: str
    variants: tuple[BuiltVariant, ...]
    datasets: tuple[BuiltDataset, ...]
