"""Draw results for people, and open the console for progress and errors."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from rich.console import Console

from orchestrator.reporting.report import Report
from orchestrator.reporting.text import clean_lines

WIDTH_OF_NO_TERMINAL = 160
"""Width in characters for a pipe. Without a width a long cell would make every line of its table as long."""


def stderr_console() -> Console:
    """Return the console for progress and errors."""
    return _console(sys.stderr)


def write(report: Report, stream: TextIO) -> None:
    """Draw a report for people, without the trailing blanks of a table's last column.

    Plain text is not folded: a command to be copied stays on one line.
    """
    drawing = report.draw()
    if isinstance(drawing, str):
        stream.write(clean_lines(drawing) + "\n")
        return
    console = _console(stream)
    # Captured, since rich fills the last column with blanks up to the width.
    with console.capture() as drawn:
        # Not cropped: a line that may not fold, such as a command to be copied, is longer than the console at times.
        console.print(drawing, crop=False)
    stream.write("\n".join(line.rstrip() for line in drawn.get().split("\n")))


def _console(stream: TextIO) -> Console:
    fixed = None if stream.isatty() or os.environ.get("COLUMNS") else WIDTH_OF_NO_TERMINAL
    # No markup, highlighting or emoji: foreign text such as [red] or :pi: is shown as written.
    return Console(file=stream, width=fixed, markup=False, highlight=False, emoji=False)
