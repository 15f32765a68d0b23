"""Build a model's artifacts from its recipe, and put them in place if they are as good as declared."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydantic import BaseModel, Field, ValidationError

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.model import Dataset, Model, Variant
from orchestrator.services.record_build import Place, edit_values, record_build
from orchestrator.specs.model import MODEL_FILE, load_model

ACCURACY_TOLERANCE = 0.01
"""How far a rebuilt variant may be from its declared accuracy, either way: conversion differs a little between CPUs."""

_ROUNDING = 1e-9
_STDERR_LINES_KEPT = 5
_MISSING_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")


@dataclass(frozen=True, slots=True)
class BuiltVariant:
    """One artifact before and after; `new_accuracy` is what the recipe measured, empty if it measures none."""

    name: str
    path: str
    old_sha256: str
    new_sha256: str
    old_accuracy: Mapping[str, float]
    new_accuracy: Mapping[str, float]

    @property
    def changed(self) -> bool:
        """Tell whether the artifact differs from the one that was declared."""
        return self.old_sha256 != self.new_sha256


@dataclass(frozen=True, slots=True)
class BuiltDataset:
    """One data set before and after."""

    name: str
    path: str
    old_sha256: str
    new_sha256: str
    old_samples: int
    new_samples: int

    @property
    def changed(self) -> bool:
        """Tell whether the data set differs from the one that was declared."""
        return self.old_sha256 != self.new_sha256


@dataclass(frozen=True, slots=True)
class BuiltModel:
    """What a build replaced; data sets that the recipe does not make are not in it."""

    model: str
    directory: str
    variants: tuple[BuiltVariant, ...]
    datasets: tuple[BuiltDataset, ...]


class _VariantReport(BaseModel):
    file: str
    accuracy: dict[str, float] = Field(default_factory=dict)


class _DatasetReport(BaseModel):
    samples: int


class _Report(BaseModel):
    """The last line that a recipe prints."""

    variants: dict[str, _VariantReport]
    datasets: dict[str, _DatasetReport] = Field(default_factory=dict)


def build_model(directory: Path, log: Callable[[str], None]) -> BuiltModel:
    """Run the recipe of the model in `directory`, check what it made, and then replace files and update model.yaml.

    `log` gets each line that the recipe writes to its standard error. Raise ConfigError, with nothing replaced, if
    there is no recipe, if it fails, or if a declared variant is missing or not as accurate as declared.
    """
    model = load_model(directory, verify=False)
    if model.recipe is None:
        raise ConfigError(f"{model.directory}/{MODEL_FILE}: {model.name} has no recipe", hint="add `recipe: FILE.py`")
    home = Path(model.directory)
    try:
        with tempfile.TemporaryDirectory(prefix=".build-", dir=home) as folder:
            out = Path(folder)
            report = _run_recipe(Path(model.recipe), out, log)
            complaints = tuple(_complaints(model, report, out))
            if complaints:
                raise ConfigError("\n".join(complaints), hint="nothing was replaced")
            built = _compare(model, report, out)
            text = edit_values(home / MODEL_FILE, dict(_values(built)))
            for path in (*(one.path for one in built.variants), *(one.path for one in built.datasets)):
                (out / Path(path).relative_to(home)).replace(path)
            record_build(home / MODEL_FILE, text)
    except OSError as error:
        raise ConfigError(f"{error.filename or home}: cannot be written: {error.strerror}") from error
    return built


def _run_recipe(recipe: Path, out: Path, log: Callable[[str], None]) -> _Report:
    """Run the recipe as people would, in a process of its own, and return what its last line says."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as stdout:
        process = subprocess.Popen(
            [sys.executable, str(recipe), str(out)],
            cwd=recipe.parent,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        with process:
            try:
                tail = _pass_on(process.stderr, log)
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            raise _failure(recipe, process.returncode, tail)
        stdout.seek(0)
        lines = [line for line in stdout if line.strip()]
    try:
        return _Report.model_validate_json(lines[-1] if lines else "")
    except ValidationError as error:
        raise ConfigError(
            f"{recipe}: its last line on standard output is not a report: {error.errors()[0]['msg']}",
            hint='print {"variants": {NAME: {"file": …, "accuracy": {…}}}, "datasets": {FILE: {"samples": …}}}',
        ) from None


def _pass_on(stream: IO[str] | None, log: Callable[[str], None]) -> deque[str]:
    """Log each line as it comes; return the last ones."""
    tail: deque[str] = deque(maxlen=_STDERR_LINES_KEPT)
    for line in stream or ():
        if text := line.rstrip():
            tail.append(text)
            log(text)
    return tail


def _failure(recipe: Path, exit_code: int, tail: deque[str]) -> ConfigError:
    missing = _MISSING_MODULE.search("\n".join(tail))
    if missing:
        return ConfigError(
            f"{recipe} needs {missing.group(1)}, which is not installed here",
            hint="pip install 'benchfleet[convert]'",
        )
    ended = f"ended with exit code {exit_code}" if exit_code > 0 else f"was killed by signal {-exit_code}"
    return ConfigError(f"{recipe} {ended}: {tail[-1] if tail else 'it said nothing'}", hint="nothing was replaced")


def _complaints(model: Model, report: _Report, out: Path) -> Iterator[str]:
    home = Path(model.directory)
    for variant in model.variants.values():
        built = report.variants.get(variant.name)
        declared_file = str(Path(variant.path).relative_to(home))
        if built is None:
            yield f"{variant.name}: the recipe did not build it"
        elif built.file != declared_file:
            yield f"{variant.name}: the recipe calls its file {built.file}, {MODEL_FILE} {declared_file}"
        elif not _was_made(out / built.file):
            yield f"{variant.name}: the recipe did not write {built.file}"
        else:
            yield from _inaccuracies(variant, built)
    for name in model.datasets:
        if name in report.datasets and not _was_made(out / name):
            yield f"{name}: the recipe did not write it"


def _was_made(file: Path) -> bool:
    return file.is_file() and not file.is_symlink() and file.stat().st_size > 0


def _inaccuracies(variant: Variant, built: _VariantReport) -> Iterator[str]:
    for metric, declared in variant.accuracy.items():
        measured = built.accuracy.get(metric)
        if measured is None:
            yield f"{variant.name}: the recipe did not measure {metric}, which {MODEL_FILE} declares"
        elif not abs(measured - declared) <= ACCURACY_TOLERANCE + _ROUNDING:
            yield (
                f"{variant.name}: {metric} is {measured:g} now, {MODEL_FILE} declares {declared:g}: "
                f"more than {ACCURACY_TOLERANCE:g} apart"
            )


def _compare(model: Model, report: _Report, out: Path) -> BuiltModel:
    home = Path(model.directory)

    def new_hash(one: Variant | Dataset) -> str:
        with (out / Path(one.path).relative_to(home)).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    variants = tuple(
        BuiltVariant(
            one.name, one.path, one.sha256, new_hash(one), one.accuracy, report.variants[one.name].accuracy
        )
        for one in model.variants.values()
    )  # fmt: skip
    datasets = tuple(
        BuiltDataset(one.name, one.path, one.sha256, new_hash(one), one.samples, report.datasets[one.name].samples)
        for one in model.datasets.values()
        if one.name in report.datasets
    )
    return BuiltModel(model.name, model.directory, variants, datasets)


def _values(built: BuiltModel) -> Iterator[tuple[Place, str]]:
    """Yield what model.yaml says differently from now on; metrics that it does not declare are not added."""
    for variant in built.variants:
        yield ("variants", variant.name, "sha256"), variant.new_sha256
        for metric in variant.old_accuracy:
            yield ("variants", variant.name, "accuracy", metric), repr(round(variant.new_accuracy[metric], 6))
    for dataset in built.datasets:
        yield ("datasets", dataset.name, "sha256"), dataset.new_sha256
        yield ("datasets", dataset.name, "samples"), str(dataset.new_samples)
