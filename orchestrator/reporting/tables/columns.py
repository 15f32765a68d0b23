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

    `fold`: a long value goes on in the next line, between words. `prose`: also within a long word, such as a path in a
    message. A name or number of any other column is never broken. `spare`: the column is left out, a column of 1 before
    a column of 2.
    """

    heading: str
    right: bool = False
    fold: bool = False
    prose: bool = False
    spare: int = 0

    @property
    def folds(self) -> bool:
        """Say whether a long value goes on in the next line."""
        return self.fold or self.prose

    @property
    def justify(self) -> Literal["left", "right"]:
        """Return the side of the aligned values."""
        return "right" if self.right else "left"


# Without slots, for the widths that are kept.
@dataclass(frozen=True)
class PlainTable:
    """Render rows in columns. On a narrow console spare columns go, the last column first.

    Where columns have no room for whole names and numbers, each row is drawn as lines, a line for each column.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Text, ...], ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        least = self._fitting(options.max_width)
        if least is None:
            yield from self._records(console, options.max_width)
            return
        kept = list(least)
        widths = [self._naturals[index] for index in kept]
        if _sum(widths) <= options.max_width and not self._has_lines(kept):
            # Nothing is folded: rich's own table would take a second for the cells of 2,000 runs.
            yield from self._drawn(console, kept, widths)
        else:
            yield self.folding(kept, self._shares(least, options.max_width))

    def folding(self, kept: Sequence[int], widths: Mapping[int, int] | None = None) -> Table:
        """Return the kept columns as a table of rich, for folding long values.

        Columns without a width of `widths` are as wide as rich finds good.
        """
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
        for index in kept:
            column = self.columns[index]
            table.add_column(
                Text(column.heading),
                justify=column.justify,
                overflow="fold",
                no_wrap=not column.folds,
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

    def _records(self, console: Console, width: int) -> Iterator[Text]:
        """Yield each row as lines. A value that would be broken beside the heading stands below the heading."""
        margin = max((_width(column.heading) for column in self.columns), default=0) + GAP
        for place, row in enumerate(self.rows):
            if place:
                yield Text()
            for column, cell in zip(self.columns, row, strict=True):
                heading = Text(column.heading, style="bold")
                longest = max(map(_width, cell.plain.split()), default=0)
                if longest > width - margin and column.heading:
                    yield heading
                    yield from cell.wrap(console, width, overflow="fold")
                    continue
                heading.append(" " * (margin - _width(column.heading)))
                room = max(width - margin, 1)
                is_short = _width(cell.plain) <= room and "\n" not in cell.plain
                # A wrap takes rich a hundred times as long as a look at the length.
                for line in [cell] if is_short else cell.wrap(console, room, overflow="fold"):
                    yield heading + line
                    heading = Text(" " * margin)

    def _fitting(self, width: int) -> Mapping[int, int] | None:
        """Return the columns to draw, with the least width of each; None where columns have no room."""
        for needed in (self._whole, self._readable):
            kept = list(range(len(self.columns)))
            for index in sorted(kept, key=lambda index: (self.columns[index].spare, -index)):
                if _sum(map(needed, kept)) <= width:
                    return {one: needed(one) for one in kept}
                if self.columns[index].spare:
                    kept.remove(index)
            if _sum(map(needed, kept)) <= width:
                return {one: needed(one) for one in kept}
        return None

    def _shares(self, least: Mapping[int, int], width: int) -> Mapping[int, int]:
        """Return the width of each column, the longest values giving way first."""
        most = max(self._naturals[index] for index in least)
        for level in range(most, 0, -1):
            shares = {index: max(least[index], min(self._naturals[index], level)) for index in least}
            if _sum(shares.values()) <= width:
                return shares
        return least

    def _readable(self, index: int) -> int:
        if not self.columns[index].prose:
            return self._whole(index)
        return min(self._naturals[index], FOLDED_WIDTH)

    def _whole(self, index: int) -> int:
        natural = self._naturals[index]
        return max(min(natural, FOLDED_WIDTH), self._words[index]) if self.columns[index].folds else natural

    @cached_property
    def _words(self) -> Sequence[int]:
        """Return the width of the longest word of each folded column."""
        return [
            max((_width(word) for row in self.rows for word in row[index].plain.split()), default=0)
            if column.folds
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
