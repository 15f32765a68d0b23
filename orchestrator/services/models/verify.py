"""Hash every file of some models again, and compare the hashes with model.yaml."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from orchestrator.domain.blob import BlobKind
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.model import Model
from orchestrator.domain.model_files import FileCheck
from orchestrator.specs.hashing import sha256_anew
from orchestrator.specs.paths import open_below


def verify_models(models: Iterable[Model]) -> tuple[FileCheck, ...]:
    """Return a check of every artifact and data set, in the order of declaration. A missing file has no hash.

    Raise ConfigError for an unreadable file.
    """
    return tuple(check for model in models for check in _checks(model))


def _checks(model: Model) -> Iterator[FileCheck]:
    for variant in model.variants.values():
        for one in variant.artifacts:
            found = _hash(model, one.path)
            yield FileCheck(model.name, BlobKind.MODEL, variant.name, one.path, one.sha256, found, one.format)
    for dataset in model.datasets.values():
        found = _hash(model, dataset.path)
        yield FileCheck(model.name, BlobKind.DATASET, dataset.name, dataset.path, dataset.sha256, found)


def _hash(model: Model, path: str) -> str | None:
    try:
        with open_below(Path(model.directory), Path(path)) as file:
            # The remembered hash of a file, known by size and date, would hide damage that changed neither.
            return sha256_anew(file, Path(path).name)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
