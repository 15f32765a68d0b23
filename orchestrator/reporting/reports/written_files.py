"""Declare the files that a command has written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.domain.written_file import WrittenFile
from orchestrator.reporting.report import Report
from orchestrator.reporting.shape import INTEGER, TEXT, Key, ListOf, OrNull, Shape, View

if TYPE_CHECKING:
    from rich.console import RenderableType

FILE = View[WrittenFile](
    "written-file",
    "A file that is complete under its name.",
    (
        Key("path", TEXT, "The file.", lambda one: one.path),
        Key("format", TEXT, "Its format.", lambda one: one.format),
        Key("size_bytes", INTEGER, "Its size.", lambda one: one.size_bytes),
        Key("rows", OrNull(INTEGER), "Its rows; null for a file without rows.", lambda one: one.rows),
    ),
)
WRITTEN = Shape[Sequence[WrittenFile]](ListOf(FILE), FILE, lambda files: files)


def written_report(files: Sequence[WrittenFile]) -> Report:
    """Return written files as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.written_files import written_table

        return written_table(files)

    return Report(files, WRITTEN, draw)
