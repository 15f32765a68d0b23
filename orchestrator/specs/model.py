"""Load a model's folder: check model.yaml, and hash the files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.model import (
    Artifact,
    Dataset,
    Format,
    Model,
    ModelOutput,
    StatePolicy,
    Variant,
    format_of_file,
)
from orchestrator.domain.nearest import did_you_mean
from orchestrator.domain.quoting import quoted
from orchestrator.specs.document import Place
from orchestrator.specs.hashing import sha256_of
from orchestrator.specs.model_input import InputSection, InsidePath, Sizes, model_input, wrong_file, wrong_input
from orchestrator.specs.paths import is_file, is_folder, open_below, resolved
from orchestrator.specs.reach import MODELS_FOLDER
from orchestrator.specs.schema import Complaint, Refused, Section, load_section, refuse, words_of
from orchestrator.specs.words import FormatName, Name, Text, pattern

MODEL_FILE = "model.yaml"
ARTIFACTS_FORM = "write file: and sha256:, or artifacts: {tflite: {file: …, sha256: …}, onnx: {…}}"


def _is_sha256(text: str) -> str:
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        raise Refused("expected a SHA-256, 64 lower-case hexadecimal digits")
    return text


Sha256 = Annotated[str, AfterValidator(_is_sha256), pattern("[0-9a-f]{64}")]


class OutputSection(Section):
    """Declare the output that accuracy and agreement are about."""

    shape: Sizes
    """The sizes of the output."""
    name: Text | None = None
    """The name of the output, where shapes are equal."""


class DatasetSection(Section):
    """Declare a held-out set. The set's name is the name of the file."""

    sha256: Sha256
    """The hash of the file."""
    samples: Annotated[int, Field(ge=1)]
    """The number of inputs in the file."""


class ArtifactSection(Section):
    """Declare a variant's file in one format. `made` replaces the variant's own `made`."""

    advice: ClassVar[Mapping[str, str]] = {"path": "did you mean 'file'?"}

    file: InsidePath
    """The file, inside of the folder of the model."""
    sha256: Sha256
    """The hash of the file."""
    made: Text | None = None
    """How this artifact was made, if not as the variant says."""


class VariantSection(Section):
    """Declare a variant: one `file`, with the format in its ending, or `artifacts` by format."""

    advice: ClassVar[Mapping[str, str]] = {"path": "did you mean 'file'?"}

    file: InsidePath | None = None
    """The only file of the variant, inside of the folder of the model."""
    sha256: Sha256 | None = None
    """The hash of the file."""
    format: FormatName | None = None
    """The format, where the ending of the file does not tell."""
    artifacts: dict[FormatName, ArtifactSection] | None = Field(default=None, min_length=1)
    """A file for each format, in place of `file` and `sha256`."""
    precision: Text
    """The precision, in words of yours: fp32, int8 …."""
    made: Text
    """How the variant was made."""
    parent: str | None = None
    """The variant that it was made from."""
    accuracy: dict[str, float] = Field(default_factory=dict)
    """The maker's accuracy, by metric."""


class ModelSection(Section):
    """Declare a whole model.yaml."""

    model: Name
    """The name of the model. Its history hangs on it."""
    description: Text
    """What the model is. Reports show it."""
    task: Text
    """What the model does. Reports show it."""
    recipe: InsidePath | None = None
    """A script that builds the variants anew: `benchfleet models build`."""
    license: Text | None = None
    """The licence of the model."""
    input: InputSection
    """Every input that `inputs` does not name. Random numbers are drawn from low to below high."""
    inputs: dict[Text, InputSection] = Field(default_factory=dict)
    """Inputs by their names in the file, where they differ."""
    output: OutputSection | None = None
    """The output that accuracy and agreement are about, where there are several."""
    state: Literal["keep", "reset"] = "keep"
    """Whether a state (variables, an output that is fed back) is kept between invocations, or reset before each."""
    datasets: dict[InsidePath, DatasetSection] = Field(default_factory=dict)
    """Held-out sets: .npz files with inputs `x` (of several, an array by the name of each), perhaps labels `y`."""
    variants: dict[Name, VariantSection] = Field(min_length=1)
    """The variants, by name."""


def find_models(directory: Path) -> tuple[Path, ...]:
    """Return the folder itself or the model folders in the folder, by name. Raise ConfigError without any."""
    if is_file(directory / MODEL_FILE):
        return (directory,)
    found = _models_in(directory)
    if not found:
        hint = suggest_model(directory) or f"a model's folder has a {MODEL_FILE}"
        raise ConfigError(f"{directory}: neither a model's folder nor a folder of them", hint=hint)
    return found


def suggest_model(directory: Path) -> str | None:
    """Return a hint with the folder meant by a bare name, or with the nearest model beside a missing folder."""
    meant = MODELS_FOLDER / directory
    if len(directory.parts) == 1 and is_file(meant / MODEL_FILE):
        return f"did you mean {meant}?"
    beside = [path.name for path in _models_in(directory.parent)]
    return did_you_mean(directory.name, beside) if beside else None


def load_model(directory: Path, verify: bool = True) -> Model:
    """Return the model of a folder. Raise ConfigError for a mistake, and with `verify` for a changed file."""
    if not is_folder(directory):
        raise ConfigError(f"{directory}: no such model folder", hint=suggest_model(directory))
    section, document = load_section(directory / MODEL_FILE, ModelSection)
    complaints = tuple(_contradictions(section, directory, verify))
    if complaints:
        raise refuse(document, complaints)
    changed = tuple(_changed_files(section, directory)) if verify else ()
    if changed:
        raise ConfigError(refuse(document, changed).message, hint=f"benchfleet models verify {directory}")
    # Without links: a run records the folder, and a resume looks there.
    return _model(section, directory.resolve())


def _models_in(directory: Path) -> tuple[Path, ...]:
    if not is_folder(directory):
        return ()
    return tuple(sorted(path.parent for path in directory.glob(f"*/{MODEL_FILE}")))


def _contradictions(section: ModelSection, directory: Path, verify: bool) -> Iterator[Complaint]:
    for place, one_input in _inputs(section):
        yield from wrong_input(place, one_input)
    if section.input.from_output is not None:
        words = "the input of all names cannot be one output's"
        yield Complaint(("input", "from_output"), words, "name the input: inputs: {NAME: {…, from_output: …}}")
    for name, variant in section.variants.items():
        if variant.parent is not None:
            yield from _wrong_parent(name, section)
        yield from _neither_form(name, variant)
        for place, _, one in _artifacts(name, variant):
            yield from _outside(directory, one.file, (*place, "file"))
        yield from _twice(name, variant)
    for name in section.datasets:
        yield from _outside(directory, name, ("datasets", name))
    for place, declared in _inputs(section):
        yield from wrong_file(directory, place, declared, verify=verify)
    if section.recipe is not None:
        yield from _outside(directory, section.recipe, ("recipe",))


def _wrong_parent(name: str, section: ModelSection) -> Iterator[Complaint]:
    seen = [name]
    while (parent := section.variants[seen[-1]].parent) is not None:
        if parent not in section.variants:
            if len(seen) == 1:
                hint = did_you_mean(parent, section.variants)
                yield Complaint(("variants", name, "parent"), f"there is no variant {quoted(parent)}", hint)
            return
        if parent in seen:
            # Told once for a circle, at its first name: each of its variants comes here.
            if parent == name and name == min(seen):
                circle = " -> ".join((*seen, parent))
                yield Complaint(("variants", name, "parent"), f"a variant descends from itself: {circle}")
            return
        seen.append(parent)


def _neither_form(name: str, variant: VariantSection) -> Iterator[Complaint]:
    """Refuse a variant without artifacts, or with artifacts in both forms."""
    place: Place = ("variants", name)
    if variant.artifacts is None:
        for key in ("file", "sha256"):
            if getattr(variant, key) is None:
                yield Complaint(place, f"missing key {quoted(key)} in {words_of(place)}", ARTIFACTS_FORM)
    elif beside := [key for key in ("file", "sha256", "format") if getattr(variant, key) is not None]:
        words = f"{words_of(place)} has `artifacts`, and {quoted(beside[0])} beside them"
        yield Complaint((*place, beside[0]), words, "keep one of the two forms")


def _artifacts(name: str, variant: VariantSection) -> Iterator[tuple[Place, Format, ArtifactSection]]:
    """Yield the artifacts of a variant in either form, each with place and format."""
    place: Place = ("variants", name)
    for form, one in (variant.artifacts or {}).items():
        yield (*place, "artifacts", form), Format(form), one
    if variant.file is not None and variant.sha256 is not None:
        form = Format(variant.format) if variant.format else format_of_file(variant.file)
        yield place, form, ArtifactSection(file=variant.file, sha256=variant.sha256)


def _twice(name: str, variant: VariantSection) -> Iterator[Complaint]:
    """Refuse two artifacts of one content."""
    # Results are told apart by the hash of the measured file.
    seen: dict[str, Format] = {}
    for place, form, one in _artifacts(name, variant):
        if one.sha256 in seen:
            yield Complaint((*place, "sha256"), f"{name}: {form} is the same file as {seen[one.sha256]}")
        seen[one.sha256] = form


def _outside(directory: Path, file: str, place: Place) -> Iterator[Complaint]:
    # After the links: a link in the folder may lead to any file of this machine.
    if not resolved(directory / file).is_relative_to(resolved(directory)):
        yield Complaint(place, f"{quoted(file)} leads out of the model's folder")


def _inputs(section: ModelSection) -> Iterator[tuple[Place, InputSection]]:
    yield ("input",), section.input
    yield from ((("inputs", name), one) for name, one in section.inputs.items())


def _model(section: ModelSection, directory: Path) -> Model:
    return Model(
        name=section.model,
        directory=str(directory),
        description=section.description,
        task=section.task,
        input=model_input(section.input, directory, None),
        inputs={name: model_input(one, directory, name) for name, one in section.inputs.items()},
        output=None if section.output is None else ModelOutput(tuple(section.output.shape), section.output.name),
        variants={
            name: Variant(
                name=name,
                artifacts=tuple(
                    Artifact(form, str(directory / file.file), file.sha256, file.made)
                    for _, form, file in _artifacts(name, one)
                ),
                precision=one.precision,
                made=one.made,
                parent=one.parent,
                accuracy=dict(one.accuracy),
            )
            for name, one in section.variants.items()
        },
        datasets={
            name: Dataset(name, str(directory / name), one.sha256, one.samples)
            for name, one in section.datasets.items()
        },
        state=StatePolicy(section.state),
        recipe=str(directory / section.recipe) if section.recipe else None,
        license=section.license,
    )


def _changed_files(section: ModelSection, directory: Path) -> Iterator[Complaint]:
    declared: list[tuple[Place, str, str]] = [
        *(
            ((*place, "sha256"), one.file, one.sha256)
            for name, variant in section.variants.items()
            for place, _, one in _artifacts(name, variant)
        ),
        *((("datasets", name, "sha256"), name, one.sha256) for name, one in section.datasets.items()),
    ]
    for place, file, sha256 in declared:
        try:
            with open_below(directory, directory / file) as stream:
                actual = sha256_of(stream, file)
        except (FileNotFoundError, IsADirectoryError):
            yield Complaint(place, f"{directory / file} is missing")
            continue
        except OSError as error:
            yield Complaint(place, f"{directory / file} cannot be read: {error.strerror}")
            continue
        if actual != sha256:
            yield Complaint(place, f"{directory / file} has SHA-256 {actual}, declared is {sha256}")
