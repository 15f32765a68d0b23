"""Write to a runner's log, the runner's standard error."""

from __future__ import annotations

import os
import sys
import time


def log(text: str) -> None:
    """Append a line to the log, or drop the line if the disk is full."""
    line = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text.rstrip()}\n"
    try:
        os.write(2, line.encode("utf-8", "replace"))
    except OSError:  # a lost line of this log must not end the runner
        pass


def log_exception() -> None:
    """Append the exception being handled to the log, with the traceback if possible."""
    error = sys.exc_info()[1]
    try:
        import traceback

        text = traceback.format_exc()
    except (ImportError, OSError, MemoryError):  # too many open files, or a dying card: a traceback reads sources
        text = repr(error)
    log(text)
