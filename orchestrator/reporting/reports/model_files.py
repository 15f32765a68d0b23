"""Declare the files of a model: verified, or built again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from orchestrator.domain.blob import BlobKind
from orchestrator.domain.model import Format
from orchestrator.domain.model_files import BuiltDataset, BuiltModel, BuiltVariant, FileCheck
from orchestrator.reporting.report import Report
from orchestrator.reporting.shape import INTEGER, NUMBER, TEXT, Key, ListOf, MapOf, OneOf, OrNull, Shape, View

if TYPE_CHECKING:
    from rich.console import RenderableType

FILE_CHECK = View[FileCheck](
    "file-check",
    "One declared file, hashed again.",
    (
        Key("model", TEXT, "The model's name.", lambda check: check.model),
        Key("kind", OneOf(BlobKind), "What the file is.", lambda check: check.kind),
        Key("name", TEXT, "The variant's or data set's name.", lambda check: check.name),
        Key("path", TEXT, "The file.", lambda check: check.path),
        Key("declared_sha256", TEXT, "The hash that model.yaml declares.", lambda check: check.declared_sha256),
        Key(
            "found_sha256", OrNull(TEXT), "The file's hash; null where there is none.", lambda check: check.found_sha256
        ),
        Key("format", OrNull(OneOf(Format)), "The artifact's format; null for a data set.", lambda check: check.format),
    ),
)
_CHECK_ROW = View[FileCheck](
    "file-check-row",
    "One declared file.",
    (
        *FILE_CHECK.keys,
        Key("state", TEXT, "`ok`, `missing` or `changed`.", lambda check: check.state.value),
    ),
)
VERIFIED = Shape[Sequence[FileCheck]](ListOf(FILE_CHECK), _CHECK_ROW, lambda checks: checks)

BUILT_VARIANT = View[BuiltVariant](
    "built-variant",
    "One artifact before and after a build.",
    (
        Key("name", TEXT, "The variant's name.", lambda built: built.name),
        Key("path", TEXT, "The artifact's file.", lambda built: built.path),
        Key("old_sha256", OrNull(TEXT), "The hash before; null for a new file.", lambda built: built.old_sha256),
        Key("new_sha256", TEXT, "The hash after.", lambda built: built.new_sha256),
        Key("old_accuracy", MapOf(NUMBER, "metric"), "The declared accuracy.", lambda built: built.old_accuracy),
        Key(
            "new_accuracy",
            MapOf(NUMBER, "metric"),
            "The accuracy that the recipe measured.",
            lambda built: built.new_accuracy,
        ),
        Key("format", OneOf(Format), "The artifact's format.", lambda built: built.format),
    ),
)
BUILT_DATASET = View[BuiltDataset](
    "built-dataset",
    "One data set before and after a build.",
    (
        Key("name", TEXT, "The data set's name.", lambda built: built.name),
        Key("path", TEXT, "The data set's file.", lambda built: built.path),
        Key("old_sha256", OrNull(TEXT), "The hash before; null for a new file.", lambda built: built.old_sha256),
        Key("new_sha256", TEXT, "The hash after.", lambda built: built.new_sha256),
        Key(
            "old_samples", OrNull(INTEGER), "How many inputs there were; null if new.", lambda built: built.old_samples
        ),
        Key("new_samples", INTEGER, "How many inputs there are.", lambda built: built.new_samples),
    ),
)
BUILT_MODEL = View[BuiltModel](
    "built-model",
    "What a build replaced.",
    (
        Key("model", TEXT, "The model's name.", lambda built: built.model),
        Key("directory", TEXT, "The model's folder.", lambda built: built.directory),
        Key("variants", ListOf(BUILT_VARIANT), "The variants.", lambda built: built.variants),
        Key("datasets", ListOf(BUILT_DATASET), "The data sets that the recipe makes.", lambda built: built.datasets),
    ),
)
_Line = tuple[str, BuiltVariant | BuiltDataset]
_BUILT_ROW = View[_Line](
    "built-model-row",
    "One file.",
    (
        Key("model", TEXT, "The model's name.", lambda line: line[0]),
        Key(
            "kind",
            TEXT,
            "`variant` or `dataset`.",
            lambda line: "variant" if isinstance(line[1], BuiltVariant) else "dataset",
        ),
        Key("name", TEXT, "The variant's or data set's name.", lambda line: line[1].name),
        Key("old_sha256", OrNull(TEXT), "The hash before; null for a new file.", lambda line: line[1].old_sha256),
        Key("new_sha256", TEXT, "The hash after.", lambda line: line[1].new_sha256),
        Key("accuracy", OrNull(TEXT), "The measured accuracy, as metric=value.", lambda line: _accuracy(line[1])),
    ),
)


def _accuracy(built: BuiltVariant | BuiltDataset) -> str | None:
    if isinstance(built, BuiltDataset):
        return None
    return " ".join(f"{metric}={value}" for metric, value in built.new_accuracy.items()) or None


def _lines(built: BuiltModel) -> Iterator[_Line]:
    yield from ((built.model, variant) for variant in built.variants)
    yield from ((built.model, dataset) for dataset in built.datasets)


BUILT = Shape[BuiltModel](BUILT_MODEL, _BUILT_ROW, _lines)


def checks_report(checks: Sequence[FileCheck]) -> Report:
    """Return hashed files as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.models import checks_table

        return checks_table(checks)

    return Report(checks, VERIFIED, draw)


def build_report(built: BuiltModel) -> Report:
    """Return a build as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.models import build_table

        return build_table(built)

    return Report(built, BUILT, draw)
