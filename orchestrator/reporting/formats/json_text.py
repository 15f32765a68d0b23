"""Write a report as JSON, with the keys promised by docs/json.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from orchestrator.reporting.formats.plain_data import json_line, json_text
from orchestrator.reporting.report import Report, Rows


def write(report: Report, stream: TextIO) -> None:
    """Write a declared result as a single indented value, and the rows of an SQL statement as an array of objects."""
    if report.shape is None:
        write_rows(report.rows(), stream)
    else:
        stream.write(json_text(report.shape.json.plain(report.value)) + "\n")


def write_rows(rows: Rows, stream: TextIO) -> None:
    """Write rows as an array of objects, a line for each row, as rows come. Columns of equal names get numbers."""
    names = _distinct(rows.columns)
    # Written by hand, since json.dump would need every row of a large table in memory.
    separator = "[\n"
    for line in rows.lines:
        stream.write(separator + json_line(dict(zip(names, line, strict=True))))
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
