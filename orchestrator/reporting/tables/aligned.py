"""Lay lines of cells out in columns, aligned over several groups. Separate tables would not align."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from orchestrator.reporting.tables.columns import GAP, Column
from orchestrator.reporting.text import shown

Line = tuple[Text, ...]


def natural_widths(columns: Sequence[Column], lines: Sequence[Line]) -> list[int]:
    """Return the width in characters of each column's longest heading or cell."""
    widths = [Text(column.heading).cell_len for column in columns]
    for line in lines:
        for index, cell in enumerate(line):
            widths[index] = max([widths[index], *(part.cell_len for part in cell.split("\n"))])
    return widths


def excess_width(widths: Sequence[int], width: int) -> int:
    """Return by how many characters columns of the given widths exceed a width."""
    return sum(widths) + GAP * (len(widths) - 1) - width


def aligned(columns: Sequence[Column], widths: Sequence[int], cells: Line, console: Console) -> Iterator[Text]:
    """Lay cells side by side in columns of given widths. Long cells are folded."""
    folded = [
        list(cell.wrap(console, width, overflow="fold")) if cell.cell_len > width or "\n" in cell.plain else [cell]
        for cell, width in zip(cells, widths, strict=True)
    ]
    for parts in itertools.zip_longest(*folded, fillvalue=Text()):
        line = Text()
        for column, width, part in zip(columns, widths, parts, strict=True):
            blanks = " " * (width - part.cell_len)
            line.append(blanks if column.right else "").append_text(part).append("" if column.right else blanks)
            line.append(" " * GAP)
        line.rstrip()
        yield line


def remarks(notes: Sequence[str]) -> Iterator[Padding]:
    """Yield notes, to stand below a line."""
    for note in notes:
        yield Padding(shown(note, style="dim italic"), (0, 0, 0, 2))
