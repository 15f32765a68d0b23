"""Draw the files that a command has written."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.domain.written_file import WrittenFile
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.tables.columns import Column, PlainTable, plain_table

_COLUMNS = (
    Column("written", fold=True),
    Column("format", spare=1),  # the name says as much
    Column("size", right=True, spare=2),
    Column("rows", right=True, spare=2),
)


def written_table(files: Sequence[WrittenFile]) -> PlainTable:
    """Return a line for each file."""
    rows = (
        (str(one.path), one.format, numbers.size(one.size_bytes), None if one.rows is None else str(one.rows))
        for one in files
    )
    return plain_table(_COLUMNS, rows)
