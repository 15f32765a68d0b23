"""Build a model's artifacts by the model's recipe, and put artifacts of the declared accuracy in place."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.model import Artifact, Dataset, Model, Variant
from orchestrator.domain.model_files import BuiltDataset, BuiltModel, BuiltVariant
from orchestrator.models.model_file import Place, edit_values, place_of_hash, record_build
from orchestrator.models.recipe import BuiltFile, RecipeReport, run_recipe, unscored_lines
from orchestrator.services.models.build_first import build_first
from orchestrator.specs.model import MODEL_FILE, load_model
from orchestrator.specs.paths import is_file, open_below

ACCURACY_TOLERANCE = 0.01
"""Largest distance of a rebuilt variant from its declared accuracy: conversion differs a little between CPUs."""

_ROUNDING = 1e-9  # 0.97 - 0.96 is a little more than 0.01 in floating point


def build(path: Path, log: Callable[[str], None], steps: Path | None = None) -> BuiltModel:
    """Build the model of a folder or of a recipe. A recipe without a model.yaml beside it gets one.

    Raise ConfigError as `build_model` does, and for a recipe that is not the one of the model.yaml beside it.
    """
    if not is_file(path):
        return build_model(path, log, steps)
    home = path.parent
    if not is_file(home / MODEL_FILE):
        return build_first(path, log, steps)
    model = load_model(home, verify=False)
    if model.recipe is None or Path(model.recipe) != path.resolve():
        raise ConfigError(f"{home / MODEL_FILE} is of another recipe", hint="give each recipe a folder of its own")
    return build_model(home, log, steps)


def build_model(directory: Path, log: Callable[[str], None], steps: Path | None = None) -> BuiltModel:
    """Run the recipe of the model in `directory`, check the built files, replace files and update model.yaml.

    `log` gets each line of the recipe's standard error. Raise ConfigError, with nothing replaced, if there is no
    recipe, if the recipe fails, or if a declared variant is missing or not as accurate as declared.
    """
    model = load_model(directory, verify=False)
    if model.recipe is None:
        raise ConfigError(f"{model.directory}/{MODEL_FILE}: {model.name} has no recipe", hint="add `recipe: FILE`")
    home = Path(model.directory)
    try:
        # Inside the model's folder: a file is put in place by a rename, which needs the same file system.
        with tempfile.TemporaryDirectory(prefix=".build-", dir=home) as folder:
            out = Path(folder)
            report = run_recipe(Path(model.recipe), out, log, steps)
            complaints = tuple(_complaints(model, report, out))
            if complaints:
                raise ConfigError("\n".join(complaints), hint="nothing was replaced")
            for line in unscored_lines(report):
                log(line)
            built = _compare(model, report, out)
            # Made before the first file is replaced: a value that model.yaml lacks must stop the build here.
            text = edit_values(home / MODEL_FILE, dict(_values(built, home / MODEL_FILE)))
            for path in (*(one.path for one in built.variants), *(one.path for one in built.datasets)):
                (out / Path(path).relative_to(home)).replace(path)
            record_build(home / MODEL_FILE, text)
    except OSError as error:
        raise ConfigError(f"{error.filename or home}: cannot be written: {error.strerror}") from error
    return built


def _complaints(model: Model, report: RecipeReport, out: Path) -> Iterator[str]:
    home = Path(model.directory)
    for variant, artifact in _artifacts(model):
        what = _words_for(variant, artifact)
        built = report.built(variant, artifact)
        declared_file = str(Path(artifact.path).relative_to(home))
        if built is None:
            yield f"{what}: the recipe did not build it"
        elif built.file != declared_file:
            yield f"{what}: the recipe calls its file {built.file}, {MODEL_FILE} {declared_file}"
        elif not _was_made(out / built.file):
            yield f"{what}: the recipe did not write {built.file}"
        else:
            # A variant's accuracy is that of the first artifact, which must have been scored.
            if built.unscored is None or artifact is variant.artifacts[0]:
                yield from _inaccuracies(what, variant, built)
    for name in model.datasets:
        if name in report.datasets and not _was_made(out / name):
            yield f"{name}: the recipe did not write it"


def _artifacts(model: Model) -> Iterator[tuple[Variant, Artifact]]:
    return ((variant, artifact) for variant in model.variants.values() for artifact in variant.artifacts)


def _words_for(variant: Variant, artifact: Artifact) -> str:
    return variant.name if len(variant.artifacts) == 1 else f"{variant.name} ({artifact.format})"


def _was_made(file: Path) -> bool:
    # A link would be renamed as a link, into a folder that ends with the build.
    return file.is_file() and not file.is_symlink() and file.stat().st_size > 0


def _inaccuracies(what: str, variant: Variant, built: BuiltFile) -> Iterator[str]:
    for metric, declared in variant.accuracy.items():
        measured = built.accuracy.get(metric)
        if measured is None:
            yield f"{what}: the recipe did not measure {metric}, which {MODEL_FILE} declares"
        # Written as "not at most": a NaN compares false, and must be a complaint.
        elif not abs(measured - declared) <= ACCURACY_TOLERANCE + _ROUNDING:
            yield (
                f"{what}: {metric} is {measured:g} now, {MODEL_FILE} declares {declared:g}: "
                f"more than {ACCURACY_TOLERANCE:g} apart"
            )


def _compare(model: Model, report: RecipeReport, out: Path) -> BuiltModel:
    home = Path(model.directory)

    def new_hash(one: Artifact | Dataset) -> str:
        with open_below(out, out / Path(one.path).relative_to(home)) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    variants = tuple(
        BuiltVariant(
            name=variant.name,
            format=one.format,
            path=one.path,
            old_sha256=one.sha256,
            new_sha256=new_hash(one),
            old_accuracy=variant.accuracy,
            new_accuracy=built.accuracy,
            new_made=report.variants[variant.name].made,
        )
        for variant, one in _artifacts(model)
        if (built := report.built(variant, one))
    )
    datasets = tuple(
        BuiltDataset(one.name, one.path, one.sha256, new_hash(one), one.samples, report.datasets[one.name].samples)
        for one in model.datasets.values()
        if one.name in report.datasets
    )
    return BuiltModel(model.name, model.directory, variants, datasets)


def _values(built: BuiltModel, file: Path) -> Iterator[tuple[Place, str]]:
    """Yield the new values of model.yaml with the places. Undeclared metrics are not added.

    The first artifact gives a variant's accuracy.
    """
    recorded: set[str] = set()
    for variant in built.variants:
        yield place_of_hash(file, variant.name, variant.format), variant.new_sha256
        for metric in variant.old_accuracy if variant.name not in recorded else ():
            yield ("variants", variant.name, "accuracy", metric), repr(round(variant.new_accuracy[metric], 6))
        if variant.name not in recorded and variant.new_made is not None:
            yield ("variants", variant.name, "made"), variant.new_made
        recorded.add(variant.name)
    for dataset in built.datasets:
        yield ("datasets", dataset.name, "sha256"), dataset.new_sha256
        yield ("datasets", dataset.name, "samples"), str(dataset.new_samples)
