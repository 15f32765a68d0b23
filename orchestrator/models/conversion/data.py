"""Read the samples that networks are trained, calibrated and scored on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.domain.errors import ConfigError
from orchestrator.models.conversion.steps import hash_of


@dataclass(frozen=True, slots=True)
class Samples:
    """Hold inputs `x` and labels `y`, a row each, and the hash of their file."""

    x: Any
    y: Any
    sha256: str

    def first(self, count: int) -> Iterator[Any]:
        """Yield the first inputs, each as a batch of one."""
        for row in self.x[:count]:
            yield row[np.newaxis].astype(np.float32)


def read_samples(path: Path) -> Samples:
    """Return the samples of an .npz file. Raise ConfigError for any other file."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = Samples(arrays["x"], arrays["y"], hash_of(path))
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{path}: is not an .npz file with arrays x and y: {error}") from None
    if len(found.x) == 0 or len(found.x) != len(found.y):
        raise ConfigError(f"{path}: has {len(found.x)} inputs and {len(found.y)} labels")
    return found
