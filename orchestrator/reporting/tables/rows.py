"""Draw the rows of an SQL statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from rich.text import Text

from orchestrator.reporting.formats.plain_data import cell_value
from orchestrator.reporting.tables.columns import Column, PlainTable, plain_table
from orchestrator.reporting.text import ABSENT, clean

_NUMBERS = (int, float, Decimal)


def row_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> PlainTable:
    """Return rows as a table, or on a narrow console as lines. A value is not broken."""
    # Numbers are not scaled: the author of the statement chose the units.
    # All rows at once, unlike in other formats: the width of a column depends on every value.
    lines = [list(row) for row in rows]
    right = [_is_numeric([line[index] for line in lines]) for index in range(len(columns))]
    headings = (
        Column(clean(name), right=is_right, fold=not is_right) for name, is_right in zip(columns, right, strict=True)
    )
    return plain_table(headings, ([_cell(value) for value in line] for line in lines))


def _is_numeric(values: Sequence[object]) -> bool:
    present = [value for value in values if value is not None]
    return bool(present) and all(isinstance(value, _NUMBERS) and not isinstance(value, bool) for value in present)


def _cell(value: object) -> Text:
    if value is None:
        return Text(ABSENT, style="dim")
    if isinstance(value, float):
        return Text(f"{value:.10g}")  # 0.1 + 0.2 is 0.3 for people
    if isinstance(value, bytes | memoryview):
        return Text(f"{len(value)} bytes", style="dim")
    return Text(clean(cell_value(value)))
