"""Read a recipe: a YAML file that says how the variants of a model are made, one from the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from orchestrator.domain.nearest import did_you_mean
from orchestrator.domain.quoting import quoted
from orchestrator.specs.document import Document
from orchestrator.specs.model_input import InsidePath
from orchestrator.specs.schema import Complaint, Section, load_section, refuse
from orchestrator.specs.words import Name, Text

FurtherFormat = Literal["openvino", "ncnn"]
Quantisation = Literal["none", "fp16", "dynamic", "int8", "int16x8"]
ONNX_ENDINGS = (".onnx",)
SAVED_MODEL_ENDINGS = (".tar", ".zip")
CALIBRATED = ("int8", "int16x8")
"""The quantisations that learn ranges of numbers from inputs."""


class DataSection(Section):
    """Declare the data of a recipe: .npz files with inputs `x` and labels `y`."""

    train: InsidePath | None = None
    """What networks are trained on, and ranges of numbers are learnt from."""
    test: InsidePath | None = None
    """The held-out set that each variant is scored on."""


class TrainSection(Section):
    """Declare a training."""

    epochs: Annotated[int, Field(ge=1, le=100_000)]
    """How often the training sees each input."""
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.001
    """The step of the optimiser, Adam."""
    batch: Annotated[int, Field(ge=1, le=65_536)] = 32
    """Inputs of one step."""


class PruneSection(Section):
    """Declare a pruning: the smallest weights become zero, more and more of them."""

    sparsity: Annotated[float, Field(gt=0, lt=1)]
    """The share of weights that are zero at the end."""
    begin: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The share that is zero at once. From there the share follows a polynomial of the third degree."""
    until: Annotated[float, Field(gt=0, le=1)] = 0.7
    """The part of the training after which the share is reached. The rest recovers accuracy."""


class ClusterSection(Section):
    """Declare a clustering: all weights of a layer take few values."""

    clusters: Annotated[int, Field(ge=2, le=256)]
    """The number of values of each layer."""


class DistilSection(Section):
    """Declare a distillation: a smaller network learns the outputs of the parent."""

    temperature: Annotated[float, Field(ge=1, le=100)] = 4.0
    """How far the outputs of both networks are softened."""
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.1
    """The weight of the labels in the loss. The rest is the teacher's."""


class RecipeVariantSection(Section):
    """Declare how a variant is made: by training, quantisation or both, from a network or from its parent."""

    parent: str | None = None
    """The variant whose network this one begins with, or is taught by."""
    network: InsidePath | None = None
    """A .keras, .h5 or .onnx file, an archive of a SavedModel, or a Python file with a function `network()`."""
    prune: PruneSection | None = None
    """Weights become zero while the network trains."""
    cluster: ClusterSection | None = None
    """Weights share values while the network trains."""
    quantisation_aware: bool = False
    """The network trains with the rounding that int8 brings."""
    distil: DistilSection | None = None
    """The network learns from its parent."""
    train: TrainSection | None = None
    """The training of any of these, or of a new network."""
    quantise: Quantisation = "none"
    """The numbers of the converted file."""
    samples: Annotated[int, Field(ge=1, le=100_000)] = 200
    """Inputs that ranges of numbers are learnt from, for int8 and int16x8."""
    per_channel_dense: bool = True
    """False: dense layers have one scale. TensorFlow Lite up to 2.14 loads no other ones with dynamic range."""
    symmetric: bool = False
    """True: int8 of an .onnx file has its ranges around zero, as TensorRT takes them alone."""
    also: list[FurtherFormat] = Field(default_factory=list)
    """Further formats of the converted file: `openvino` by OpenVINO, `ncnn` of an .onnx file by pnnx."""

    @property
    def method(self) -> str | None:
        """Return the name of what the training does beside learning, or None."""
        named = {"prune": self.prune, "cluster": self.cluster, "distil": self.distil}
        found = [name for name, one in named.items() if one is not None]
        return found[0] if found else ("quantisation_aware" if self.quantisation_aware else None)


class RecipeSection(Section):
    """Declare a whole recipe."""

    recipe: Name
    """The name of the model."""
    description: Text
    """What the model is. Reports show it."""
    task: Text
    """What the model does. Reports show it."""
    license: Text | None = None
    """The licence of the model."""
    low: float = 0.0
    """The least random number of an input."""
    high: float = 1.0
    """The bound of random numbers, which is left out."""
    data: DataSection = Field(default_factory=DataSection)
    """What is trained, calibrated and scored on."""
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = 0
    """The seed of new networks and of trainings."""
    variants: dict[Name, RecipeVariantSection] = Field(min_length=1)
    """The variants, by name, each behind its parent."""


def load_recipe(path: Path) -> RecipeSection:
    """Return a recipe. Raise ConfigError for a mistake, with file and line."""
    section, document = load_section(path, RecipeSection)
    _refuse_contradictions(section, document)
    return section


def _refuse_contradictions(section: RecipeSection, document: Document) -> None:
    complaints = [one for name in section.variants for one in _of_variant(name, section)]
    if complaints:
        raise refuse(document, complaints)


def _of_variant(name: str, section: RecipeSection) -> Iterator[Complaint]:
    one, place = section.variants[name], ("variants", name)
    earlier = list(section.variants)[: list(section.variants).index(name)]
    if one.parent is not None and one.parent not in earlier:
        is_later = one.parent in section.variants
        hint = "write the parent first" if is_later else did_you_mean(one.parent, earlier)
        yield Complaint((*place, "parent"), f"there is no variant {quoted(one.parent)} before this one", hint)
    if one.parent is None and one.network is None:
        yield Complaint(place, f"{name} has neither a parent nor a network", "write network: FILE or parent: NAME")
    if one.network is not None and one.parent is not None and one.distil is None:
        yield Complaint((*place, "network"), "a network beside a parent is a student's", "add distil: {}")
    if one.distil is not None and (one.network is None or one.parent is None):
        yield Complaint((*place, "distil"), "a student needs a teacher and a network", "write parent: and network:")
    methods = [key for key in ("prune", "cluster", "distil") if getattr(one, key) is not None]
    methods += ["quantisation_aware"] if one.quantisation_aware else []
    if len(methods) > 1:
        yield Complaint((*place, methods[1]), f"{methods[0]} and {methods[1]} at once", "make one the other's parent")
    if methods and one.train is None:
        yield Complaint(place, f"{methods[0]} needs a training", "write train: {epochs: 5}")
    yield from _without_data(name, section)
    yield from _without_way(name, section)


def _without_way(name: str, section: RecipeSection) -> Iterator[Complaint]:
    """Yield what no tool can write in a further format."""
    one, place = section.variants[name], ("variants", name, "also")
    ancestor = one
    for _ in section.variants:  # parents may be a circle, which is another complaint
        if ancestor.network is None and ancestor.parent in section.variants:
            ancestor = section.variants[ancestor.parent]
    is_onnx = one.train is None and str(ancestor.network).endswith(ONNX_ENDINGS)
    if "ncnn" in one.also and not (is_onnx and one.quantise == "none"):
        yield Complaint(
            place, "ncnn is made of an .onnx network without quantisation alone", "write network: FILE.onnx"
        )
    if "openvino" in one.also and not is_onnx and one.quantise in CALIBRATED:
        yield Complaint(
            place,
            f"OpenVINO loses the scale of an {one.quantise} .tflite input",
            "quantise an .onnx network, whose inputs stay float32",
        )
    if "ncnn" in one.also and section.data.test is None:
        yield Complaint(place, "ncnn needs the sizes of the input", "write data: {test: FILE.npz}")


def _without_data(name: str, section: RecipeSection) -> Iterator[Complaint]:
    one = section.variants[name]
    if section.data.train is None and (one.train is not None or one.quantise in CALIBRATED):
        key = "train" if one.train is not None else "quantise"
        yield Complaint(("variants", name, key), f"{name} needs data", "write data: {train: FILE.npz}")
