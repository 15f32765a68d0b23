"""Draw tables without lines: columns two blanks apart, as wide as the values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from orchestrator.reporting.text import shown

GAP = 2
FOLDED_WIDTH = 16
"""Width in characters at which a folded column can still be read."""


@dataclass(frozen=True, slots=True)
class Column:
    """Describe a column: heading, side, and behaviour on a narrow console.

    `fold`: a long value goes on in the next line. `shorten`: a long value ends in "…". `spare`: the column is left out,
    a column of 1 before a column of 2.
    """

    heading: str
    right: bool = False
    fold: bool = False
    shorten: bool = False
    spare: int = 0

    @property
    def justify(self) -> Literal["left", "right"]:
        """Return the side of the aligned values."""
        return "right" if self.right else "left"


# Without slots, for the widths that are kept.
@dataclass(frozen=True)
class PlainTable:
    """Render rows in columns. On a narrow console spare columns go, the last column first.

    A word is broken only where no spare column is left to make room for the word.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Text, ...], ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        kept = self._fitting(options.max_width)
        widths = [self._naturals[index] for index in kept]
        if sum(widths) + GAP * (len(kept) - 1) <= options.max_width and not self._has_lines(kept):
            # Nothing is folded or cut: rich's own table would take a second for the cells of 2,000 runs.
            yield from self._drawn(console, kept, widths)
        else:
            yield self.folding(kept, self._shares(kept, options.max_width))

    def folding(self, kept: Sequence[int], widths: Mapping[int, int] | None = None) -> Table:
        """Return the kept columns as a table of rich, for folding and shortening long values.

        Columns without a width of `widths` are as wide as rich finds good.
        """
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
        for index in kept:
            column = self.columns[index]
            table.add_column(
                Text(column.heading),
                justify=column.justify,
                overflow="ellipsis" if column.shorten else "fold",
                no_wrap=not column.fold,
                width=None if widths is None else widths[index],
            )
        for row in self.rows:
            table.add_row(*(row[index] for index in kept))
        return table

    def _drawn(self, console: Console, kept: Sequence[int], widths: Sequence[int]) -> Iterator[Segment]:
        """Yield each row as a line, without blanks at the end."""
        columns = [self.columns[index] for index in kept]
        headings = tuple(Text(column.heading, style="bold") for column in self.columns)
        for row in (headings, *self.rows):
            blanks = 0
            for column, index, width in zip(columns, kept, widths, strict=True):
                cell = row[index]
                spare = width - _width(cell.plain)
                blanks += spare if column.right else 0
                if blanks:
                    yield Segment(" " * blanks)
                yield from _segments(cell, console)
                blanks = GAP + (0 if column.right else spare)
            yield Segment.line()

    def width(self) -> int:
        """Return the least readable width of the console for every column."""
        return _sum(map(self._readable, range(len(self.columns))))

    def _fitting(self, width: int) -> list[int]:
        """Return the columns to draw: with whole words, or else with broken words."""
        kept = list(range(len(self.columns)))
        for needed in (self._whole, self._readable):
            kept = list(range(len(self.columns)))
            for index in sorted(kept, key=lambda index: (self.columns[index].spare, -index)):
                if _sum(map(needed, kept)) <= width:
                    return kept
                if self.columns[index].spare:
                    kept.remove(index)
        return kept

    def _shares(self, kept: Sequence[int], width: int) -> Mapping[int, int] | None:
        """Return the width of each column where words stay whole, the longest values giving way first."""
        least = {index: self._whole(index) for index in kept}
        if _sum(least.values()) > width:
            return None
        most = max(self._naturals[index] for index in kept)
        for level in range(most, 0, -1):
            shares = {index: max(least[index], min(self._naturals[index], level)) for index in kept}
            if _sum(shares.values()) <= width:
                return shares
        return least

    def _readable(self, index: int) -> int:
        column, natural = self.columns[index], self._naturals[index]
        return min(natural, FOLDED_WIDTH) if column.fold or column.shorten else natural

    def _whole(self, index: int) -> int:
        return max(self._readable(index), self._words[index])

    @cached_property
    def _words(self) -> Sequence[int]:
        """Return the width of the longest word of each folded column."""
        return [
            max((_width(word) for row in self.rows for word in row[index].plain.split()), default=0)
            if column.fold
            else 0
            for index, column in enumerate(self.columns)
        ]

    @cached_property
    def _naturals(self) -> Sequence[int]:
        """Return the width of each column's widest cell or heading."""
        cells = [tuple(_width(cell.plain) for cell in row) for row in self.rows]
        headings = tuple(_width(column.heading) for column in self.columns)
        return [max(column) for column in zip(headings, *cells, strict=True)]

    def _has_lines(self, kept: Sequence[int]) -> bool:
        return any("\n" in row[index].plain for row in self.rows for index in kept)


def _sum(widths: Iterable[int]) -> int:
    """Return the width of columns side by side."""
    known = list(widths)
    return sum(known) + GAP * (len(known) - 1)


def _width(text: str) -> int:
    """Return how many cells of a terminal a text takes."""
    # Nearly all cells are plain ASCII, and a list of 2,000 runs has 16,000 of them, each looked at three times.
    return len(text) if text.isascii() and text.isprintable() else cell_len(text)


def _segments(cell: Text, console: Console) -> Iterable[Segment]:
    if cell.spans:
        return cell.render(console)
    return (Segment(cell.plain, console.get_style(cell.style) if cell.style else None),)


def plain_table(columns: Iterable[Column], rows: Iterable[Sequence[Text | str | None]]) -> PlainTable:
    """Return a table. A cell other than Text is foreign text, and None is shown as absent."""
    # The one place where foreign words enter a table: what is not made Text by us is cleaned here.
    cells = (tuple(cell if isinstance(cell, Text) else shown(cell) for cell in row) for row in rows)
    return PlainTable(tuple(columns), tuple(cells))
