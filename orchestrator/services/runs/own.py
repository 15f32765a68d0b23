"""Make a sweep of model files, with the model's description: what a run without any YAML runs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.model import Format
from orchestrator.domain.runtimes import CALL, RUNTIMES
from orchestrator.models.described import (
    ModelFiles,
    as_name,
    files_by_model,
    is_model_file,
    saved_model_files,
    sort_files,
    word,
)
from orchestrator.models.new_file import refuse_other, write_new
from orchestrator.resources import schema_line
from orchestrator.services.models.add import files_in, is_saved_model, take_folder, take_model
from orchestrator.specs.document import parse_document
from orchestrator.specs.model import MODEL_FILE, load_model
from orchestrator.specs.overrides import overridden
from orchestrator.specs.paths import is_file, is_folder, resolved
from orchestrator.specs.schema import check_section
from orchestrator.specs.sweep_schema import SweepSection

OWN_FOLDER = "own-models"
"""The folder in the controller's cache for what is not kept by --save."""

_USUAL = {Format.TFLITE: ("tflite-runtime", "ai-edge-litert"), Format.ONNX: ("onnxruntime",)}
_USUAL_CALLS = {
    Format.SAVED_MODEL: ("signature",),
    Format.KERAS: ("predict", "function"),
    Format.TORCH: ("jit",),
    Format.TORCH_EXPORT: ("eager",),
}
"""How a whole framework is called for models that no smaller runtime loads."""
_TENSORFLOW, _TORCH = f"tensorflow=={RUNTIMES['tensorflow'].example}", "system/torch"
_FRAMEWORKS = {
    Format.SAVED_MODEL: _TENSORFLOW,
    Format.KERAS: _TENSORFLOW,
    # The device's own: a plain bundle has gigabytes on most machines.
    Format.TORCH: _TORCH,
    Format.TORCH_EXPORT: _TORCH,
}


@dataclass(frozen=True, slots=True)
class OwnSweepRequest:
    """Ask for a sweep of model files, or of models' folders. `overrides` are settings `KEY=VALUE` of the sweep.

    `save` is the place of the sweep file. Without it, the sweep lies in the controller's cache.
    """

    paths: Sequence[Path]
    overrides: tuple[str, ...] = ()
    save: Path | None = None

    @property
    def origin(self) -> Path:
        """Return the folder of the first file, or the first folder: the sweep's own is the cache's."""
        first = self.paths[0].absolute()
        return first if is_folder(first) else first.parent


@dataclass(frozen=True, slots=True)
class OwnSweep:
    """Hold a written sweep, and the folders of its models."""

    path: Path
    text: str
    models: tuple[Path, ...]


def is_own(paths: Sequence[Path]) -> bool:
    """Say whether paths are model files or folders, rather than one sweep file."""
    return len(paths) != 1 or is_folder(paths[0]) or is_model_file(paths[0])


def own_sweep(request: OwnSweepRequest, models: Path, cache: Path) -> OwnSweep:
    """Write a sweep, and the description of files that have none. Raise ConfigError, with nothing overwritten.

    `models` is the folder of models, for what is saved. `cache` is the controller's, for what is not.
    """
    asked = list(_asked(request.paths))
    names = [one.name for one in asked]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"two of the models are called {twice}", hint="rename a file, or run each by itself")
    _labels(request, asked)
    if request.save is not None:
        homes = [one.described or models / _home_name(one, request.save, len(asked) > 1) for one in asked]
        # Before a model is copied: a refusal must not leave half of what was asked for.
        refuse_other(request.save, _text(request, asked, homes, request.save.parent))
        taken = [_kept(one, home) for one, home in zip(asked, homes, strict=True)]
        return _write(request, asked, taken, request.save.parent)
    own = cache / OWN_FOLDER
    taken = [one.described or _cached(one, own) for one in asked]
    # In the folder that the cache has of the only model, since a sweep's own folder is within the sweep's reach.
    folder = taken[0] if len(taken) == 1 and taken[0].parent == own else own
    return _write(request, asked, taken, folder)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Hold what a sweep takes from a model: files without a description, or the folder of a described model.

    `variants` have the formats that each comes in. `saved` is the folder of a SavedModel, whose file is packed from it.
    """

    name: str
    variants: Mapping[str, frozenset[Format]]
    files: ModelFiles | None = None
    described: Path | None = None
    saved: Path | None = None


def _asked(paths: Sequence[Path]) -> Iterator[_Asked]:
    """Yield the models that are asked for, in the order of their first files. A folder is a model of its own."""
    groups = {one[0]: one for one in files_by_model([path for path in paths if not is_folder(path)])}
    for path in paths:
        if is_file(path / MODEL_FILE):
            model = load_model(path, verify=False)
            variants = {name: frozenset(variant.formats) for name, variant in model.variants.items()}
            yield _Asked(model.name, variants, described=path)
        elif is_saved_model(path):
            files_of = saved_model_files(path, resolved(path).name)
            yield replace(_of_files(files_of), saved=path)
        elif is_folder(path):
            yield _of_files(files_in(path))
        elif path in groups:
            yield _of_files(sort_files(groups.pop(path)))


def _of_files(files: ModelFiles) -> _Asked:
    return _Asked(files.name, {name: frozenset(forms) for name, forms in files.files.items()}, files=files)


def _home_name(one: _Asked, save: Path, several: bool) -> str:
    # As the sweep's file: whoever saves a second sweep of one name has said how to tell the two apart.
    return one.name if several else as_name(save.stem)


def _kept(one: _Asked, home: Path) -> Path:
    if one.files is None:
        return home
    return _take(one, one.files, home.parent, lambda _text: home.name, schema_line(home, "model"))


def _cached(one: _Asked, own: Path) -> Path:
    assert one.files is not None
    return _take(one, one.files, own, lambda text: f"{one.name}-{_digest(text)}")


def _take(one: _Asked, files: ModelFiles, home: Path, name: Callable[[str], str], head: str | None = None) -> Path:
    return take_model(files, home, name, head) if one.saved is None else take_folder(one.saved, home, name, head)


def _write(request: OwnSweepRequest, asked: Sequence[_Asked], taken: Sequence[Path], folder: Path) -> OwnSweep:
    text = _text(request, asked, taken, folder)
    path = folder / f"sweep-{_digest(text)}.yaml" if request.save is None else request.save
    write_new(path, text)
    return OwnSweep(path, text, tuple(taken))


def _text(request: OwnSweepRequest, asked: Sequence[_Asked], taken: Sequence[Path], folder: Path) -> str:
    labels = _labels(request, asked)
    references = [json.dumps(os.path.relpath(resolved(one), resolved(folder)), ensure_ascii=False) for one in taken]
    # What lies in the cache is not edited, and is named by the hash of its text.
    head = [] if request.save is None else [schema_line(folder, "sweep")]
    lines = [
        *head,
        "# Written by `benchfleet run` from model files. `benchfleet init` has sweeps with every key explained.",
        f"sweep: {word(as_name('-'.join(one.name for one in asked)))}",
        *_model_lines(asked, references),
        f"runtimes: [{', '.join(map(word, labels))}]",
        f"matrix: {{{_axis_of_calls(asked)}threads: [1]}}",
        "trials: 5",
        "# A trial beside other work does not count. At the end of the run it gets this many more tries.",
        "retries: {invalid: 2}",
    ]
    text = "\n".join(lines) + "\n"
    document = overridden(parse_document(text, "the sweep of these models"), request.overrides)
    # Here, where complaints still name the options.
    check_section(document, SweepSection)
    return document.text


def _labels(request: OwnSweepRequest, asked: Sequence[_Asked]) -> list[str]:
    """Return the usual runtimes of the models' formats. Raise ConfigError where no runtime is known or named."""
    small = [f"{name}=={RUNTIMES[name].example}" for name in _small(asked)]
    labels = [*small, *dict.fromkeys(label for form, label in _FRAMEWORKS.items() if form in _large(asked))]
    if not labels and not any(one.startswith("runtimes=") for one in request.overrides):
        formats, models = " or ".join(sorted(_formats(asked))), ", ".join(one.name for one in asked)
        raise ConfigError(f"no runtime here loads {formats}, as {models} is", hint="name some by --runtimes")
    return labels


def _small(asked: Sequence[_Asked]) -> list[str]:
    """Return the runtimes that load a single format."""
    formats = _formats(asked)
    return [name for form, usual in _USUAL.items() if form in formats for name in usual]


def _calls(asked: Sequence[_Asked]) -> list[str]:
    """Return the ways to call a framework for variants that no smaller runtime loads."""
    formats = _large(asked)
    return [call for form, usual in _USUAL_CALLS.items() if form in formats for call in usual]


def _large(asked: Sequence[_Asked]) -> frozenset[Format]:
    """Return the formats of variants that no smaller runtime loads."""
    large = [forms for one in asked for forms in one.variants.values() if forms.isdisjoint(_USUAL)]
    return frozenset(chain.from_iterable(large))


def _axis_of_calls(asked: Sequence[_Asked]) -> str:
    # Null for all others: a cell has the same settings, and the same history, whether it is swept alone or not.
    calls = [*(["null"] if _small(asked) else []), *_calls(asked)]
    return f"{CALL}: [{', '.join(calls)}], " if _calls(asked) else ""


def _formats(asked: Sequence[_Asked]) -> frozenset[Format]:
    return frozenset(form for one in asked for forms in one.variants.values() for form in forms)


def _model_lines(asked: Sequence[_Asked], references: Sequence[str]) -> Iterator[str]:
    if len(asked) == 1:
        yield f"model: {references[0]}"
        yield f"variants: [{', '.join(map(word, asked[0].variants))}]"
        return
    yield "# Each model is measured and compared by itself: all its variants, or those that `variants:` names."
    yield f"models: [{', '.join(references)}]"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
