"""Draw the files of models: verified, or built again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from orchestrator.domain.model import Model, Variant
from orchestrator.domain.model_files import BuiltModel, BuiltVariant, FileCheck
from orchestrator.reporting.tables.columns import Column, PlainTable, plain_table

_DIGITS = 12
"""Number of digits of a hash that tell files apart for people."""

_CHECK_COLUMNS = (Column("model"), Column("file", fold=True), Column("state"), Column("found"), Column("declared"))
_BUILD_COLUMNS = (Column("variant"), Column("format"), Column("sha256"), Column("was"), Column("accuracy", fold=True))


def checks_table(checks: Sequence[FileCheck]) -> PlainTable:
    """Return a row for each declared file."""
    rows = (
        (
            check.model,
            _from_here(check.path),
            check.state.value,
            (check.found_sha256 or "")[:_DIGITS],
            check.declared_sha256[:_DIGITS],
        )
        for check in checks
    )
    return plain_table(_CHECK_COLUMNS, rows)


def build_table(built: BuiltModel) -> PlainTable:
    """Return a row for each artifact."""
    rows = (
        (
            variant.name,
            variant.format.value,
            variant.new_sha256[:_DIGITS],
            _before(variant),
            ", ".join(f"{metric} {value:.4f}" for metric, value in variant.new_accuracy.items()) or None,
        )
        for variant in built.variants
    )
    return plain_table(_BUILD_COLUMNS, rows)


def _before(variant: BuiltVariant) -> str:
    if variant.old_sha256 is None:
        return "new"
    return variant.old_sha256[:_DIGITS] if variant.changed else "the same"


def _from_here(path: str) -> str:
    """Return a path as people type paths: relative inside the working folder."""
    full = Path(path)
    return str(full.relative_to(Path.cwd()) if full.is_relative_to(Path.cwd()) else full)


_TREE_COLUMNS = (
    Column("variant"),
    Column("precision"),
    Column("format"),
    Column("bytes", right=True),
    Column("accuracy"),
    Column("made", fold=True, prose=True),
)


def tree_table(models: Sequence[Model], sizes: Mapping[str, int]) -> PlainTable:
    """Return a row for each artifact, each variant below its parent and further to the right."""
    return plain_table(_TREE_COLUMNS, (row for model in models for row in _tree_rows(model, sizes)))


def _tree_rows(model: Model, sizes: Mapping[str, int]) -> Iterator[tuple[str | None, ...]]:
    yield model.name, None, None, None, None, model.description
    for variant, depth in _by_descent(model):
        for one in variant.artifacts:
            size = sizes.get(one.path)
            yield (
                f"└{'──' * depth} {variant.name}",
                variant.precision,
                one.format.value,
                None if size is None else str(size),
                ", ".join(f"{metric} {value:g}" for metric, value in variant.accuracy.items()) or None,
                one.made or variant.made,
            )


def _by_descent(model: Model) -> Iterator[tuple[Variant, int]]:
    """Yield each variant behind its parent, with the number of generations above."""

    def family(parent: str | None, depth: int) -> Iterator[tuple[Variant, int]]:
        for variant in model.variants.values():
            if variant.parent == parent:
                yield variant, depth
                yield from family(variant.name, depth + 1)

    yield from family(None, 0)
