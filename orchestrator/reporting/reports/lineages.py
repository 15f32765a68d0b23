"""Declare the models of a database: variants with ancestry, artifacts and accuracies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.domain.lineage import ArtifactRecord, ModelRecord
from orchestrator.reporting.report import Report
from orchestrator.reporting.shape import INTEGER, NUMBER, TEXT, TIME, Key, ListOf, MapOf, OrNull, Shape, View

if TYPE_CHECKING:
    from rich.console import RenderableType

_ARTIFACT = View[ArtifactRecord](
    "recorded-artifact",
    "An artifact of a variant, as runs recorded it.",
    (
        Key("variant", TEXT, "The variant's name.", lambda one: one.variant),
        Key("format", OrNull(TEXT), "The format.", lambda one: one.format),
        Key("sha256", TEXT, "Hash of the artifact.", lambda one: one.sha256),
        Key("size_bytes", OrNull(INTEGER), "The size; null before a plan has shipped it.", lambda one: one.size_bytes),
        Key("precision", TEXT, "The precision of the numbers.", lambda one: one.precision),
        Key("made", TEXT, "How the variant was made.", lambda one: one.made),
        Key("parent", OrNull(TEXT), "What it was made from; null for the first.", lambda one: one.parent),
        Key("declared_accuracy", MapOf(NUMBER, "metric"), "What the maker measured.", lambda one: one.declared),
        Key("measured_accuracy", MapOf(NUMBER, "metric"), "What a device measured last.", lambda one: one.measured),
        Key("last_run", OrNull(TEXT), "The newest run that planned it.", lambda one: one.last_run),
        Key("last_run_at", OrNull(TIME), "When that run began.", lambda one: one.last_run_at),
    ),
)
_MODEL = View[ModelRecord](
    "recorded-model",
    "A model, as runs recorded it.",
    (
        Key("name", TEXT, "The model's name.", lambda model: model.name),
        Key("task", TEXT, "What the model does.", lambda model: model.task),
        Key("description", TEXT, "What the model is.", lambda model: model.description),
        Key("license", OrNull(TEXT), "The licence.", lambda model: model.license),
        Key("artifacts", ListOf(_ARTIFACT), "The artifacts, each behind its parent's.", lambda model: model.artifacts),
    ),
)


@dataclass(frozen=True, slots=True)
class _Line:
    """Hold an artifact with the model."""

    model: ModelRecord
    one: ArtifactRecord


_ROW = View[_Line](
    "recorded-model-row",
    "An artifact of a model.",
    (
        Key("model", TEXT, "The model's name.", lambda line: line.model.name),
        Key("variant", TEXT, "The variant's name.", lambda line: line.one.variant),
        Key("parent", OrNull(TEXT), "What it was made from.", lambda line: line.one.parent),
        Key("format", OrNull(TEXT), "The format.", lambda line: line.one.format),
        Key("size_bytes", OrNull(INTEGER), "The size.", lambda line: line.one.size_bytes),
        Key("sha256", TEXT, "Hash of the artifact.", lambda line: line.one.sha256),
        Key("last_run", OrNull(TEXT), "The newest run that planned it.", lambda line: line.one.last_run),
    ),
)


def _lines(models: Sequence[ModelRecord]) -> Iterator[_Line]:
    for model in models:
        for one in model.artifacts:
            yield _Line(model, one)


LINEAGES = Shape[Sequence[ModelRecord]](ListOf(_MODEL), _ROW, _lines)


def lineages_report(models: Sequence[ModelRecord]) -> Report:
    """Return recorded models as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.rows import row_table

        return row_table(LINEAGES.columns(), LINEAGES.lines(models))

    return Report(models, LINEAGES, draw)
