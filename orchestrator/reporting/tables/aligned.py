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

_INDENT = 2


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


def drawn_line(columns: Sequence[Column], widths: Sequence[int], cells: Line, console: Console) -> list[Text]:
    """Return cells side by side, or, without widths, below each other."""
    return [*(aligned(columns, widths, cells, console) if widths else packed(columns, cells, console))]


def packed(columns: Sequence[Column], cells: Line, console: Console) -> Iterator[Text]:
    """Yield the first cell, and below that cell the others behind their headings, in as few lines as have room.

    A figure is broken only where the figure alone is wider than the console.
    """
    width = console.width - _INDENT
    name, *figures = cells
    yield from name.wrap(console, console.width, overflow="fold")
    line = Text()
    for column, cell in zip(columns[1:], figures, strict=True):
        if not cell.plain:
            continue
        figure = Text.assemble((f"{column.heading} ", "dim"), Text(" ").join(cell.split("\n")))
        if line and line.cell_len + GAP + figure.cell_len > width:
            yield from _indented(line, width, console)
            line = Text()
        line = Text.assemble(line, " " * GAP, figure) if line else figure
    yield from _indented(line, width, console)


def _indented(line: Text, width: int, console: Console) -> Iterator[Text]:
    for part in line.wrap(console, width, overflow="fold"):
        yield Text.assemble(" " * _INDENT, part)


def remarks(notes: Sequence[str]) -> Iterator[Padding]:
    """Yield notes, to stand below a line."""
    for note in notes:
        yield Padding(shown(note, style="dim italic"), (0, 0, 0, 2))
