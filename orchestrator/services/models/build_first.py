"""Build a model from a recipe for the first time: the files, and the model.yaml that describes them."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.model_files import BuiltDataset, BuiltModel, BuiltVariant
from orchestrator.models.new_file import write_new
from orchestrator.models.recipe import YAML_ENDINGS, RecipeReport, run_recipe, unscored_lines
from orchestrator.models.recipe_text import model_text
from orchestrator.resources import schema_line
from orchestrator.specs.model import MODEL_FILE, load_model
from orchestrator.specs.paths import open_below
from orchestrator.specs.recipe import load_recipe


def build_first(recipe: Path, log: Callable[[str], None], steps: Path | None = None) -> BuiltModel:
    """Make every variant of a YAML recipe in the recipe's folder, and write model.yaml there.

    Raise ConfigError if a step fails, and where a file of another content is in the way; nothing is overwritten.
    """
    if recipe.suffix not in YAML_ENDINGS:
        raise ConfigError(f"{recipe}: only a YAML recipe can be built without a {MODEL_FILE} beside it")
    section, home = load_recipe(recipe), recipe.parent
    try:
        with tempfile.TemporaryDirectory(prefix=".build-", dir=home) as place:
            out = Path(place)
            report = run_recipe(recipe, out, log, steps)
            for line in unscored_lines(report):
                log(line)
            hashes = {name: _hash(out, name) for name in _files(report)}
            text = model_text((section, recipe.name), report, out, hashes, schema_line(home, "model"))
            for name, sha256 in hashes.items():
                _refuse_other(home, name, sha256)
            for name in hashes:
                (home / name).parent.mkdir(parents=True, exist_ok=True)
                (out / name).replace(home / name)
            write_new(home / MODEL_FILE, text)
    except OSError as error:
        raise ConfigError(f"{error.filename or home}: cannot be written: {error.strerror}") from error
    return _built(home, report)


def _files(report: RecipeReport) -> list[str]:
    files = [made.file for variant in report.variants.values() for made in variant.artifacts.values()]
    return [*files, *report.datasets]


def _hash(folder: Path, name: str) -> str:
    with open_below(folder, folder / name) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_other(home: Path, name: str, sha256: str) -> None:
    if (home / name).exists() and _hash(home, name) != sha256:
        raise ConfigError(f"{home / name} is there already, with other content", hint="move it away")


def _built(home: Path, report: RecipeReport) -> BuiltModel:
    model = load_model(home)
    scores: Mapping[str, Mapping[str, float]] = {name: variant.accuracy for name, variant in model.variants.items()}
    variants = tuple(
        BuiltVariant(variant.name, one.format, one.path, None, one.sha256, {}, scores[variant.name], variant.made)
        for variant in model.variants.values()
        for one in variant.artifacts
    )
    datasets = tuple(
        BuiltDataset(one.name, one.path, None, one.sha256, None, report.datasets[one.name].samples)
        for one in model.datasets.values()
    )
    return BuiltModel(model.name, model.directory, variants, datasets)
