"""Tables without lines: columns two blanks apart, as wide as they need to be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from orchestrator.reporting.text import shown

GAP = 2
FOLDED_WIDTH = 16
"""A folded column needs about this much to be read."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, whether its values line up at the right, and what gives way where there is no room.

    Long values of a column that folds go on in the next line, one that shortens ends in "…", a spare one is left out.
    """

    heading: str
    right: bool = False
    fold: bool = False
    shorten: bool = False
    spare: bool = False

    @property
    def justify(self) -> Literal["left", "right"]:
        """Return the side that its values line up at."""
        return "right" if self.right else "left"


@dataclass(frozen=True, slots=True)
class PlainTable:
    """Renders rows in columns; where the console is too narrow, its spare columns go, the last one first."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Text, ...], ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        kept = self._fitting(options.max_width)
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
        for column in (self.columns[index] for index in kept):
            table.add_column(
                Text(column.heading),
                justify=column.justify,
                overflow="ellipsis" if column.shorten else "fold",
                no_wrap=not column.fold,
            )
        for row in self.rows:
            table.add_row(*(row[index] for index in kept))
        yield table

    def width(self, kept: Sequence[int] | None = None) -> int:
        """Return how wide a console must be for these columns, all of them by default, to be read."""
        shown_columns = range(len(self.columns)) if kept is None else kept
        return sum(map(self._needed, shown_columns)) + GAP * (len(shown_columns) - 1)

    def _fitting(self, width: int) -> list[int]:
        kept = list(range(len(self.columns)))
        for index in reversed(range(len(self.columns))):
            if self.width(kept) <= width:
                break
            if self.columns[index].spare:
                kept.remove(index)
        return kept

    def _needed(self, index: int) -> int:
        column = self.columns[index]
        natural = max([len(column.heading), *(row[index].cell_len for row in self.rows)])
        return min(natural, FOLDED_WIDTH) if column.fold or column.shorten else natural


def plain_table(columns: Iterable[Column], rows: Iterable[Sequence[Text | str | None]]) -> PlainTable:
    """Return a table; a cell that is not Text yet is foreign text, None is shown as absent."""
    cells = (tuple(cell if isinstance(cell, Text) else shown(cell) for cell in row) for row in rows)
    return PlainTable(tuple(columns), tuple(cells))
