"""What an SQL statement returned: a table for people, CSV or JSON lines of objects for programs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from orchestrator.reporting.columns import GAP, Column, PlainTable, plain_table
from orchestrator.reporting.plain_data import json_line, to_json
from orchestrator.reporting.text import ABSENT, clean

_NUMBERS = (int, float, Decimal)


@dataclass(frozen=True, slots=True)
class RowTable:
    """Renders a table; where the console is too narrow for it, every row as lines of its own, one for each column."""

    table: PlainTable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.table.width() <= options.max_width:
            yield self.table
            return
        for place, row in enumerate(self.table.rows):
            if place:
                yield Text()
            record = Table.grid(padding=(0, GAP, 0, 0))
            record.add_column(style="bold", overflow="fold")
            record.add_column(overflow="fold")
            for column, cell in zip(self.table.columns, row, strict=True):
                record.add_row(Text(column.heading), cell)
            yield record


def row_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> RowTable:
    """Return rows as a table; numbers as they are, for a statement's author chose their units."""
    lines = [list(row) for row in rows]
    right = [_is_numeric([line[index] for line in lines]) for index in range(len(columns))]
    headings = (Column(clean(name), right=is_right, fold=True) for name, is_right in zip(columns, right, strict=True))
    return RowTable(plain_table(headings, ([_cell(value) for value in line] for line in lines)))


def write_csv(stream: TextIO, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows as CSV while they come; NULL is empty, bytes are hexadecimal, times are in UTC.

    A terminal gets no control characters; a file gets exactly what the database holds.
    """
    writer = csv.writer(stream, lineterminator="\n")
    is_terminal = stream.isatty()
    writer.writerow([clean(name) if is_terminal else name for name in columns])
    for row in rows:
        plain = (_csv_value(value) for value in row)
        writer.writerow([clean(value) if is_terminal and isinstance(value, str) else value for value in plain])


def write_json(stream: TextIO, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows as a JSON array of objects, one a line, while they come; columns of one name get numbers."""
    names = _distinct(columns)
    separator = "[\n"
    for row in rows:
        stream.write(separator + json_line(dict(zip(names, row, strict=True))))
        separator = ",\n"
    stream.write("[]\n" if separator == "[\n" else "\n]\n")


def _distinct(columns: Sequence[str]) -> list[str]:
    """Number repeated names, as in `p50, p50_2`: an object would lose all but the last."""
    names: list[str] = []
    for column in columns:
        name, count = column, 1
        while name in names:
            count += 1
            name = f"{column}_{count}"
        names.append(name)
    return names


def _is_numeric(values: Sequence[object]) -> bool:
    present = [value for value in values if value is not None]
    return bool(present) and all(isinstance(value, _NUMBERS) and not isinstance(value, bool) for value in present)


def _cell(value: object) -> Text:
    if value is None:
        return Text(ABSENT, style="dim")
    if isinstance(value, float):
        return Text(f"{value:.10g}")
    if isinstance(value, bytes | memoryview):
        return Text(f"{len(value)} bytes", style="dim")
    return Text(clean(_csv_value(value)))


def _csv_value(value: object) -> object:
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return to_json(value) if isinstance(value, datetime) else value
