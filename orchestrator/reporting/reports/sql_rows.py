"""Report the rows of an SQL statement, with the columns named by the statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.reporting.report import Report, Rows

if TYPE_CHECKING:
    from rich.console import RenderableType


def rows_report(columns: Sequence[str], lines: Iterable[Sequence[Any]]) -> Report:
    """Return rows as a report. Every format but the table writes rows as rows come."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.rows import row_table

        return row_table(columns, lines)

    return Report(Rows(columns, lines), None, draw)
