"""Find models in folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.domain.model import Model
from orchestrator.specs.model import find_models, load_model
from orchestrator.specs.paths import is_file


def models_in(directories: Sequence[Path]) -> list[Model]:
    """Return the models in some folders. Files are not hashed.

    Raise ConfigError, with file and line, for a bad model.yaml.
    """
    folders = [folder for given in directories for folder in find_models(given)]
    return [load_model(folder, verify=False) for folder in folders]


def sizes_of(models: Sequence[Model]) -> Mapping[str, int]:
    """Return the bytes of each artifact by path. A file that is missing has none."""
    paths = [Path(one.path) for model in models for variant in model.variants.values() for one in variant.artifacts]
    return {str(path): path.stat().st_size for path in paths if is_file(path)}
