"""Declare the list of models with variants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.domain.model import Artifact, Dataset, Format, Model, ModelInput, Variant
from orchestrator.reporting.report import Report
from orchestrator.reporting.shape import INTEGER, NUMBER, TEXT, Key, ListOf, MapOf, OneOf, OrNull, Shape, View

if TYPE_CHECKING:
    from rich.console import RenderableType

MODEL_INPUT = View[ModelInput](
    "model-input",
    "What an input looks like; random inputs are uniform in [low, high).",
    (
        Key("shape", ListOf(INTEGER), "The tensor's dimensions.", lambda declared: declared.shape),
        Key("dtype", TEXT, "The elements' type.", lambda declared: declared.dtype),
        Key("low", OrNull(NUMBER), "The lowest value; null where nobody draws.", lambda declared: declared.low),
        Key("high", OrNull(NUMBER), "The bound that values stay below; null likewise.", lambda declared: declared.high),
        Key("file", OrNull(TEXT), "The file that the input is taken from.", lambda declared: declared.file),
    ),
)
ARTIFACT = View[Artifact](
    "artifact",
    "A variant's file in one format.",
    (
        Key("format", OneOf(Format), "The format.", lambda artifact: artifact.format),
        Key("path", TEXT, "The file.", lambda artifact: artifact.path),
        Key("sha256", TEXT, "The hash that model.yaml declares.", lambda artifact: artifact.sha256),
        Key("made", OrNull(TEXT), "How, where the variant's `made` does not say.", lambda artifact: artifact.made),
    ),
)
VARIANT = View[Variant](
    "variant",
    "What a model became, with an artifact for each format.",
    (
        Key("name", TEXT, "The variant's name.", lambda variant: variant.name),
        # Two keys from before artifacts had formats: they stay, for programs that read them.
        Key("path", TEXT, "The first artifact's file.", lambda variant: variant.artifacts[0].path),
        Key("sha256", TEXT, "The first artifact's declared hash.", lambda variant: variant.artifacts[0].sha256),
        Key("precision", TEXT, "The numbers' precision.", lambda variant: variant.precision),
        Key("made", TEXT, "How the variant was made.", lambda variant: variant.made),
        Key("parent", OrNull(TEXT), "The variant that this one was made from.", lambda variant: variant.parent),
        Key("accuracy", MapOf(NUMBER, "metric"), "The declared accuracy.", lambda variant: variant.accuracy),
        Key("artifacts", ListOf(ARTIFACT), "Every artifact, by format.", lambda variant: variant.artifacts),
    ),
)
DATASET = View[Dataset](
    "dataset",
    "A held-out set of inputs and labels.",
    (
        Key("name", TEXT, "The data set's name.", lambda dataset: dataset.name),
        Key("path", TEXT, "The data set's file.", lambda dataset: dataset.path),
        Key("sha256", TEXT, "The hash that model.yaml declares.", lambda dataset: dataset.sha256),
        Key("samples", INTEGER, "How many inputs there are.", lambda dataset: dataset.samples),
    ),
)
MODEL = View[Model](
    "model",
    "A family of variants, as model.yaml declares it.",
    (
        Key("name", TEXT, "The model's name.", lambda model: model.name),
        Key("directory", TEXT, "The model's folder.", lambda model: model.directory),
        Key("description", TEXT, "What the model is.", lambda model: model.description),
        Key("task", TEXT, "What the model does.", lambda model: model.task),
        Key("input", MODEL_INPUT, "What an input looks like.", lambda model: model.input),
        Key("variants", MapOf(VARIANT, "variant"), "The variants.", lambda model: model.variants),
        Key("datasets", MapOf(DATASET, "data set"), "The data sets.", lambda model: model.datasets),
        Key("recipe", OrNull(TEXT), "The script that builds the variants.", lambda model: model.recipe),
        Key("license", OrNull(TEXT), "The licence.", lambda model: model.license),
    ),
)
_Line = tuple[Model, Variant, Artifact]
_ROW = View[_Line](
    "model-row",
    "One artifact of one variant of a model.",
    (
        Key("model", TEXT, "The model's name.", lambda line: line[0].name),
        Key("variant", TEXT, "The variant's name.", lambda line: line[1].name),
        Key("precision", TEXT, "The numbers' precision.", lambda line: line[1].precision),
        Key("parent", OrNull(TEXT), "The variant that this one was made from.", lambda line: line[1].parent),
        Key(
            "accuracy",
            TEXT,
            "The declared accuracy, as metric=value.",
            lambda line: " ".join(f"{metric}={value}" for metric, value in line[1].accuracy.items()),
        ),
        Key("made", TEXT, "How the artifact was made.", lambda line: line[2].made or line[1].made),
        Key("path", TEXT, "The artifact's file.", lambda line: line[2].path),
        Key("sha256", TEXT, "The hash that model.yaml declares.", lambda line: line[2].sha256),
        Key("format", TEXT, "The artifact's format.", lambda line: line[2].format.value),
    ),
)


def _lines(models: Sequence[Model]) -> Iterator[_Line]:
    for model in models:
        for variant in model.variants.values():
            yield from ((model, variant, artifact) for artifact in variant.artifacts)


MODELS = Shape[Sequence[Model]](ListOf(MODEL), _ROW, _lines)


def models_report(models: Sequence[Model]) -> Report:
    """Return models as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.fleet import model_table

        return model_table(models)

    return Report(models, MODELS, draw)


def tree_report(models: Sequence[Model], sizes: Mapping[str, int]) -> Report:
    """Return models as a report that draws each variant below its parent. `sizes` has bytes of files by path."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.models import tree_table

        return tree_table(models, sizes)

    return Report(models, MODELS, draw)
