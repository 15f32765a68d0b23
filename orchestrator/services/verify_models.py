"""Hash every file of some models again, and say which are still what model.yaml declares."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from orchestrator.domain.blob import BlobKind
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.model import Dataset, Model, Variant


class FileState(StrEnum):
    """What became of a declared file."""

    OK = "ok"
    MISSING = "missing"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class FileCheck:
    """One declared file: `name` is the variant's or data set's, `found_sha256` None where there is no file."""

    model: str
    kind: BlobKind
    name: str
    path: str
    declared_sha256: str
    found_sha256: str | None

    @property
    def state(self) -> FileState:
        """Return what the two hashes say."""
        if self.found_sha256 is None:
            return FileState.MISSING
        return FileState.OK if self.found_sha256 == self.declared_sha256 else FileState.CHANGED

    @property
    def ok(self) -> bool:
        """Tell whether the file is what was declared."""
        return self.state is FileState.OK


def verify_models(models: Iterable[Model]) -> tuple[FileCheck, ...]:
    """Return a check of every artifact and data set, in the order of their declaration."""
    return tuple(check for model in models for check in _checks(model))


def _checks(model: Model) -> Iterator[FileCheck]:
    declared: list[tuple[BlobKind, Variant | Dataset]] = [
        *((BlobKind.MODEL, variant) for variant in model.variants.values()),
        *((BlobKind.DATASET, dataset) for dataset in model.datasets.values()),
    ]
    for kind, one in declared:
        yield FileCheck(model.name, kind, one.name, one.path, one.sha256, _hash(one.path))


def _hash(path: str) -> str | None:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
