"""Write a report's rows as CSV."""

from __future__ import annotations

import csv
from typing import TextIO

from orchestrator.reporting.formats.plain_data import cell_value
from orchestrator.reporting.report import Report
from orchestrator.reporting.text import clean


def write(report: Report, stream: TextIO) -> None:
    """Write rows as rows come. NULL is empty, bytes are hexadecimal, times are in UTC.

    A terminal gets no control characters. A file gets exactly the text of the database.
    """
    rows = report.rows()
    # The module ends lines by carriage return and newline: `cut` and `awk` take the first for part of a value.
    writer = csv.writer(stream, lineterminator="\n")
    is_terminal = stream.isatty()  # a program reads the file, and must get the text unchanged
    writer.writerow([clean(name) if is_terminal else name for name in rows.columns])
    for line in rows.lines:
        plain = (cell_value(value) for value in line)
        writer.writerow([clean(value) if is_terminal and isinstance(value, str) else value for value in plain])
