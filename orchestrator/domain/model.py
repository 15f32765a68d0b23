"""Define models, variants with an artifact for each format, and data sets, as model.yaml declares them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Format(StrEnum):
    """Name the form of an artifact. Engines load artifacts by form.

    An artifact is a single file. Where a format is a folder or several files (SavedModel, OpenVINO, ncnn), the file is
    an archive. An `endpoint` artifact is a file with the address of a server.
    """

    TFLITE = "tflite"
    ONNX = "onnx"
    SAVED_MODEL = "saved-model"
    KERAS = "keras"
    TORCH = "torch"
    """A module of TorchScript."""
    TORCH_EXPORT = "torch-export"
    """A graph as torch.export saves it."""
    OPENVINO = "openvino"
    NCNN = "ncnn"
    ENDPOINT = "endpoint"
    OTHER = "other"
    """A form that only a user's program reads."""


class StatePolicy(StrEnum):
    """Say what becomes of a model's state between two invocations."""

    KEEP = "keep"
    RESET = "reset"


_FORMAT_OF_ENDING: Mapping[str, Format] = {
    "tflite": Format.TFLITE,
    "lite": Format.TFLITE,
    "tfl": Format.TFLITE,
    "onnx": Format.ONNX,
    "ort": Format.ONNX,  # ONNX Runtime's own form: the engine that loads ONNX loads this, too
    "keras": Format.KERAS,
    "h5": Format.KERAS,  # the form of Keras before version 3
    "pt": Format.TORCH,
    "pt2": Format.TORCH_EXPORT,
    "pth": Format.TORCH,
}


def format_of_file(name: str) -> Format:
    """Return the format meant by the ending of a file name, or OTHER for an unknown ending."""
    return _FORMAT_OF_ENDING.get(name.rpartition(".")[2].lower(), Format.OTHER)


@dataclass(frozen=True, slots=True)
class Artifact:
    """Hold a variant's file in a format. `path` is absolute. `made` tells how, if other than the variant's `made`."""

    format: Format
    path: str
    sha256: str
    made: str | None = None

    @property
    def file_name(self) -> str:
        """Return the name of the file, without the folder."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Variant:
    """Describe a variant of a model: fp32, int8, pruned….

    A variant has an artifact at least. `accuracy` is the maker's, by metric.
    """

    name: str
    artifacts: tuple[Artifact, ...]
    precision: str
    made: str
    parent: str | None = None
    accuracy: Mapping[str, float] = field(default_factory=dict)

    @property
    def formats(self) -> Collection[Format]:
        """Return the formats of the variant's artifacts, in the order of model.yaml."""
        return [artifact.format for artifact in self.artifacts]

    def artifact_in(self, formats: Sequence[Format] | None) -> Artifact | None:
        """Return the artifact in the first matching format, or None without a match.

        `formats` lists the wanted formats, the preferred first. None accepts any format: the first artifact is
        returned.
        """
        if formats is None:
            return self.artifacts[0]
        by_format = {artifact.format: artifact for artifact in self.artifacts}
        return next((by_format[wanted] for wanted in formats if wanted in by_format), None)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Describe a held-out set of inputs `x` and labels `y` in an .npz file. `path` is absolute."""

    name: str
    path: str
    sha256: str
    samples: int


@dataclass(frozen=True, slots=True)
class ModelInput:
    """Describe a model's input. Random inputs are uniform in [low, high).

    Whole numbers include `high` where [low, high) has a single one. Both are None where nobody draws: of text, and of
    an input from a file. `from_output` names the output that is fed back to the input: a state, which begins with
    zeros. `file` is the absolute path of an array that the input is taken from.
    """

    shape: tuple[int, ...]
    dtype: str
    low: float | None = None
    high: float | None = None
    from_output: str | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """Describe the output that accuracy and agreement are about. `name` tells outputs of one shape apart."""

    shape: tuple[int, ...]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """Describe a family of variants. `directory` is absolute. `recipe` is the script to rebuild the variants.

    `inputs` describes inputs by their names in the files, `input` describes every other one. `output` is None where a
    model has a single output. `state` says whether a state is kept between invocations, or reset before each.
    """

    name: str
    directory: str
    description: str
    task: str
    input: ModelInput
    variants: Mapping[str, Variant]
    datasets: Mapping[str, Dataset] = field(default_factory=dict)
    recipe: str | None = None
    license: str | None = None
    inputs: Mapping[str, ModelInput] = field(default_factory=dict)
    output: ModelOutput | None = None
    state: StatePolicy = StatePolicy.KEEP

    @property
    def all_inputs(self) -> Sequence[ModelInput]:
        """Return the description of all other inputs, and of each one by name."""
        return (self.input, *self.inputs.values())

    @property
    def takes_files(self) -> bool:
        """Say whether an input is taken from a file."""
        return any(one.file is not None for one in self.all_inputs)
