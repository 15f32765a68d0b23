"""Where things are printed: results to standard output, progress and errors to standard error."""

from __future__ import annotations

import os
import sys

from rich.console import Console, RenderableType

WIDTH_OF_NO_TERMINAL = 160
"""A pipe has no edge to fold lines at; this one keeps tables from becoming endless."""


def stdout_console() -> Console:
    """Return the console for results."""
    return _console(stderr=False)


def stderr_console() -> Console:
    """Return the console for progress and errors."""
    return _console(stderr=True)


def print_result(view: RenderableType) -> None:
    """Draw a result on standard output, without the blanks that fill up a table's last column."""
    console = stdout_console()
    with console.capture() as drawing:
        console.print(view)
    sys.stdout.write("\n".join(line.rstrip() for line in drawing.get().split("\n")))
    sys.stdout.flush()


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    fixed = None if stream.isatty() or os.environ.get("COLUMNS") else WIDTH_OF_NO_TERMINAL
    return Console(stderr=stderr, width=fixed, markup=False, highlight=False, emoji=False)
