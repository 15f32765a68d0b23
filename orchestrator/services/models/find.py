"""Find models in folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.domain.model import Model
from orchestrator.specs.model import find_models, load_model


def models_in(directories: Sequence[Path]) -> list[Model]:
    """Return the models in some folders. Files are not hashed.

    Raise ConfigError, with file and line, for a bad model.yaml.
    """
    folders = [folder for given in directories for folder in find_models(given)]
    return [load_model(folder, verify=False) for folder in folders]
