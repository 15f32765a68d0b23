"""Load a model's folder: its model.yaml, checked, and its files, hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.model import Dataset, Model, ModelInput, Variant
from orchestrator.domain.nearest import did_you_mean
from orchestrator.specs.document import Place
from orchestrator.specs.paths import is_file, is_folder, resolved
from orchestrator.specs.schema import Complaint, Refused, Section, load_section, refuse
from orchestrator.specs.words import Name, Text

MODEL_FILE = "model.yaml"
MODELS_FOLDER = Path("models")
"""Where a lab keeps its models."""


def _is_sha256(text: str) -> str:
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        raise Refused("expected a SHA-256, 64 lower-case hexadecimal digits")
    return text


def _is_inside(path: str) -> str:
    if not path or path.startswith(("/", "~")) or "\0" in path or ".." in path.split("/"):
        raise Refused(f"{path!r} is not a path inside the model's folder")
    return path


Sha256 = Annotated[str, AfterValidator(_is_sha256)]
InsidePath = Annotated[str, AfterValidator(_is_inside)]


class InputSection(Section):
    """What an input looks like."""

    shape: list[Annotated[int, Field(ge=1)]] = Field(min_length=1)
    dtype: Literal["float32", "float16", "int8", "uint8", "int16", "int32", "int64"]
    low: float
    high: float


class DatasetSection(Section):
    """One held-out set, in a file of its own name."""

    sha256: Sha256
    samples: Annotated[int, Field(ge=1)]


class VariantSection(Section):
    """One artifact."""

    advice: ClassVar[Mapping[str, str]] = {"path": "did you mean 'file'?"}

    file: InsidePath
    sha256: Sha256
    precision: Text
    made: Text
    parent: str | None = None
    accuracy: dict[str, float] = Field(default_factory=dict)


class ModelSection(Section):
    """A whole model.yaml."""

    model: Name
    description: Text
    task: Text
    recipe: InsidePath | None = None
    license: Text | None = None
    input: InputSection
    datasets: dict[InsidePath, DatasetSection] = Field(default_factory=dict)
    variants: dict[Name, VariantSection] = Field(min_length=1)


def find_models(directory: Path) -> tuple[Path, ...]:
    """Return the model folders that `directory` is or directly holds, by name; raise ConfigError if there is none."""
    if is_file(directory / MODEL_FILE):
        return (directory,)
    found = _models_in(directory)
    if not found:
        hint = suggest_model(directory) or f"a model's folder has a {MODEL_FILE}"
        raise ConfigError(f"{directory}: neither a model's folder nor a folder of them", hint=hint)
    return found


def suggest_model(directory: Path) -> str | None:
    """Return a hint at the folder of the model that a bare name means, or at those beside one that does not exist."""
    meant = MODELS_FOLDER / directory
    if len(directory.parts) == 1 and is_file(meant / MODEL_FILE):
        return f"did you mean {meant}?"
    beside = [path.name for path in _models_in(directory.parent)]
    return did_you_mean(directory.name, beside) if beside else None


def load_model(directory: Path, verify: bool = True) -> Model:
    """Return the model of a folder; `verify` hashes its files and raises ConfigError where one is not as declared."""
    if not is_folder(directory):
        raise ConfigError(f"{directory}: no such model folder", hint=suggest_model(directory))
    section, document = load_section(directory / MODEL_FILE, ModelSection)
    complaints = tuple(_contradictions(section, directory))
    if complaints:
        raise refuse(document, complaints)
    changed = tuple(_changed_files(section, directory)) if verify else ()
    if changed:
        raise ConfigError(refuse(document, changed).message, hint=f"benchfleet models verify {directory}")
    return _model(section, directory.resolve())


def _models_in(directory: Path) -> tuple[Path, ...]:
    if not is_folder(directory):
        return ()
    return tuple(sorted(path.parent for path in directory.glob(f"*/{MODEL_FILE}")))


def _contradictions(section: ModelSection, directory: Path) -> Iterator[Complaint]:
    if section.input.low >= section.input.high:
        yield Complaint(("input", "low"), f"low {section.input.low:g} is not below high {section.input.high:g}")
    for name, variant in section.variants.items():
        if variant.parent is not None:
            yield from _wrong_parent(name, section)
        yield from _outside(directory, variant.file, ("variants", name, "file"))
    for name in section.datasets:
        yield from _outside(directory, name, ("datasets", name))


def _wrong_parent(name: str, section: ModelSection) -> Iterator[Complaint]:
    seen = [name]
    while (parent := section.variants[seen[-1]].parent) is not None:
        if parent not in section.variants:
            if len(seen) == 1:
                hint = did_you_mean(parent, section.variants)
                yield Complaint(("variants", name, "parent"), f"there is no variant {parent!r}", hint)
            return
        if parent in seen:
            if parent == name and name == min(seen):
                circle = " -> ".join((*seen, parent))
                yield Complaint(("variants", name, "parent"), f"a variant descends from itself: {circle}")
            return
        seen.append(parent)


def _outside(directory: Path, file: str, place: Place) -> Iterator[Complaint]:
    if not resolved(directory / file).is_relative_to(resolved(directory)):
        yield Complaint(place, f"{file!r} leads out of the model's folder")


def _model(section: ModelSection, directory: Path) -> Model:
    return Model(
        name=section.model,
        directory=str(directory),
        description=section.description,
        task=section.task,
        input=ModelInput(tuple(section.input.shape), section.input.dtype, section.input.low, section.input.high),
        variants={
            name: Variant(
                name, str(directory / one.file), one.sha256, one.precision, one.made, one.parent, dict(one.accuracy)
            )
            for name, one in section.variants.items()
        },
        datasets={
            name: Dataset(name, str(directory / name), one.sha256, one.samples)
            for name, one in section.datasets.items()
        },
        recipe=str(directory / section.recipe) if section.recipe else None,
        license=section.license,
    )


def _changed_files(section: ModelSection, directory: Path) -> Iterator[Complaint]:
    declared: list[tuple[Place, str, str]] = [
        *((("variants", name, "sha256"), one.file, one.sha256) for name, one in section.variants.items()),
        *((("datasets", name, "sha256"), name, one.sha256) for name, one in section.datasets.items()),
    ]
    for place, file, sha256 in declared:
        try:
            actual = _hash(directory / file)
        except (FileNotFoundError, IsADirectoryError):
            yield Complaint(place, f"{directory / file} is missing")
            continue
        except OSError as error:
            yield Complaint(place, f"{directory / file} cannot be read: {error.strerror}")
            continue
        if actual != sha256:
            yield Complaint(place, f"{directory / file} has SHA-256 {actual}, declared is {sha256}")


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
