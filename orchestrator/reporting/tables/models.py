"""Draw the files of models: verified, or built again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.domain.model_files import BuiltModel, FileCheck
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
            variant.old_sha256[:_DIGITS] if variant.changed else "the same",
            ", ".join(f"{metric} {value:.4f}" for metric, value in variant.new_accuracy.items()) or None,
        )
        for variant in built.variants
    )
    return plain_table(_BUILD_COLUMNS, rows)


def _from_here(path: str) -> str:
    """Return a path as people type paths: relative inside the working folder."""
    full = Path(path)
    return str(full.relative_to(Path.cwd()) if full.is_relative_to(Path.cwd()) else full)
