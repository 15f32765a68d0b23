"""Make a sweep of model files, with the model's description: what a run without any YAML runs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.model import Format
from orchestrator.domain.runtimes import RUNTIMES
from orchestrator.models.described import ModelFiles, as_name, is_model_file, sort_files, word
from orchestrator.models.new_file import refuse_other, write_new
from orchestrator.resources import schema_line
from orchestrator.services.models.add import files_in, take_model
from orchestrator.specs.document import parse_document
from orchestrator.specs.model import MODEL_FILE, load_model
from orchestrator.specs.overrides import overridden
from orchestrator.specs.paths import is_file, is_folder, resolved
from orchestrator.specs.schema import check_section
from orchestrator.specs.sweep_schema import SweepSection

OWN_FOLDER = "own-models"
"""The folder in the controller's cache for what is not kept by --save."""

_USUAL = {Format.TFLITE: ("tflite-runtime", "ai-edge-litert"), Format.ONNX: ("onnxruntime",)}


@dataclass(frozen=True, slots=True)
class OwnSweepRequest:
    """Ask for a sweep of model files, or of a model's folder. `overrides` are settings `KEY=VALUE` of the sweep.

    `save` is the place of the sweep file. Without it, the sweep lies in the controller's cache.
    """

    paths: Sequence[Path]
    overrides: tuple[str, ...] = ()
    save: Path | None = None


@dataclass(frozen=True, slots=True)
class OwnSweep:
    """Hold a written sweep, and the folder of its model."""

    path: Path
    text: str
    model: Path


def is_own(paths: Sequence[Path]) -> bool:
    """Say whether paths are model files or folders, rather than one sweep file."""
    return len(paths) != 1 or is_folder(paths[0]) or is_model_file(paths[0])


def own_sweep(request: OwnSweepRequest, models: Path, cache: Path) -> OwnSweep:
    """Write a sweep, and the description of files that have none. Raise ConfigError, with nothing overwritten.

    `models` is the folder of models, for what is saved. `cache` is the controller's, for what is not.
    """
    described = _described_folder(request.paths)
    if described is not None:
        model = load_model(described, verify=False)
        formats = {form for variant in model.variants.values() for form in variant.formats}
        return _write(request, _Grid(model.name, list(model.variants), formats), described, cache)
    files = _files(request.paths)
    grid = _Grid(files.name, list(files.files), files.formats)
    if request.save is None:
        folder = take_model(files, cache / OWN_FOLDER, lambda text: f"{files.name}-{_digest(text)}")
        return _write(request, grid, folder, cache)
    # As the sweep's file: whoever saves a second sweep of one name has said how to tell the two apart.
    name = as_name(request.save.stem)
    # Before the model is copied: a refusal must not leave half of what was asked for.
    refuse_other(request.save, _text(request, grid, models / name, request.save.parent))
    taken = take_model(files, models, lambda _text: name, schema_line(models / name, "model"))
    return _write(request, grid, taken, cache)


@dataclass(frozen=True, slots=True)
class _Grid:
    """Hold what a sweep takes from its model."""

    name: str
    variants: Sequence[str]
    formats: set[Format]


def _described_folder(paths: Sequence[Path]) -> Path | None:
    """Return the one model's folder that is asked for, None for files to be described."""
    for path in paths:
        if is_file(path / MODEL_FILE):
            if len(paths) == 1:
                return path
            raise ConfigError(f"{path} is a model of its own", hint="a sweep has one model: run each by itself")
    return None


def _files(paths: Sequence[Path]) -> ModelFiles:
    if len(paths) == 1 and is_folder(paths[0]):
        return files_in(paths[0])
    return sort_files([file for path in paths for file in (files_in(path).paths if is_folder(path) else [path])])


def _write(request: OwnSweepRequest, grid: _Grid, model: Path, cache: Path) -> OwnSweep:
    if request.save is not None:
        path = request.save
        text = _text(request, grid, model, path.parent)
    else:
        # In the folder that the cache has of the model, since a sweep's own folder is within the sweep's reach.
        inside = model.parent == cache / OWN_FOLDER
        folder = model if inside else cache / OWN_FOLDER
        text = _text(request, grid, model, folder)
        path = folder / f"sweep-{_digest(text)}.yaml"
    write_new(path, text)
    return OwnSweep(path, text, model)


def _text(request: OwnSweepRequest, grid: _Grid, model: Path, folder: Path) -> str:
    labels = [
        f"{name}=={RUNTIMES[name].example}" for form, names in _USUAL.items() if form in grid.formats for name in names
    ]
    if not labels and not any(one.startswith("runtimes=") for one in request.overrides):
        raise ConfigError(f"no runtime is known for the formats of {grid.name}", hint="name some by --runtimes")
    reference = os.path.relpath(resolved(model), resolved(folder))
    # What lies in the cache is not edited, and is named by the hash of its text.
    head = [] if request.save is None else [schema_line(folder, "sweep")]
    lines = [
        *head,
        "# Written by `benchfleet run` from model files. `benchfleet init` has sweeps with every key explained.",
        f"sweep: {word(grid.name)}",
        f"model: {json.dumps(reference, ensure_ascii=False)}",
        f"variants: [{', '.join(map(word, grid.variants))}]",
        f"runtimes: [{', '.join(map(word, labels))}]",
        "matrix: {threads: [1]}",
        "trials: 5",
        "# A trial beside other work does not count. At the end of the run it gets this many more tries.",
        "retries: {invalid: 2}",
    ]
    text = "\n".join(lines) + "\n"
    document = overridden(parse_document(text, "the sweep of these models"), request.overrides)
    # Here, where complaints still name the options.
    check_section(document, SweepSection)
    return document.text


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
